// What is wanted of the kernel, and what the kernel is known to hold. Pure: the reconciler reads, writes and waits.
//
//     wanted ── a key is one of: held as wanted, pending (written next), refused or parked (written when due)
import type { PeerName } from '../model/condition.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  keyOf,
  linkNeededBy,
  linkOf,
} from '../model/host-state.ts';
import type { Change, ChangeFailure, KernelEvent } from '../model/kernel.ts';
import { diff } from './diff.ts';
import { createFights } from './fights.ts';
import { LIMITS } from './limits.ts';
import { isOfTheNode, type Refusal, refusalOf } from './refusals.ts';

/** An object that another program has changed. */
interface Parked {
  readonly held: HostObject | undefined;
  /** When it is repaired. */
  readonly dueMs: number;
  /** Whether more than its own key may have changed. */
  readonly needsRead: boolean;
}

/** The changes of one pass. */
export interface Steps {
  readonly changes: readonly Change[];
  /** Keys of changes that the wanted state asks for, or that were refused before: they are no repairs. */
  readonly isNew: (key: string) => boolean;
  /** Keys that were refused before, and are tried or not needed any more. */
  readonly tried: ReadonlySet<string>;
}

export class Ledger {
  readonly wanted = new Map<string, HostObject>();
  readonly refused = new Map<string, Refusal>();
  readonly fights = createFights();
  readonly #parked = new Map<string, Parked>();
  /** How many wanted objects need each link: an event of such a link may mean that the kernel dropped objects. */
  readonly #linkUses = new Map<string, number>();
  /** Keys that are written in the next pass, each with the object that the kernel holds. */
  #pending = new Map<string, HostObject | undefined>();
  /** The pending keys that `set` changed. The others were changed by other programs, or refused. */
  #fresh = new Set<string>();
  /** Whether the kernel holds what is wanted, apart from the pending, refused and parked keys. */
  #isKnown = false;

  /** Everything must be read. */
  doubt(): void {
    this.#isKnown = false;
  }

  /** Everything is about to be read or written. An event from here on tells of a change that this may not include. */
  trust(): void {
    this.#isKnown = true;
  }

  get isKnown(): boolean {
    return this.#isKnown;
  }

  get hasWork(): boolean {
    return !this.#isKnown || this.#pending.size > 0;
  }

  /** Wants `after` under this key; undefined: nothing. */
  set(key: string, after: HostObject | undefined): void {
    const before = this.wanted.get(key);
    if (!this.#pending.has(key)) this.#pending.set(key, this.#held(key));
    this.#fresh.add(key);
    this.#parked.delete(key);
    if (after === undefined) this.wanted.delete(key);
    else this.wanted.set(key, after);
    this.#countLink(before, -1);
    this.#countLink(after, 1);
  }

  #countLink(object: HostObject | undefined, step: number): void {
    const link = object && linkNeededBy(object);
    if (link === undefined) return;
    const uses = (this.#linkUses.get(link) ?? 0) + step;
    if (uses === 0) this.#linkUses.delete(link);
    else this.#linkUses.set(link, uses);
  }

  /** The object that the kernel holds under a key that is not pending. */
  #held(key: string): HostObject | undefined {
    const other = this.#parked.get(key) ?? this.refused.get(key);
    return other === undefined ? this.wanted.get(key) : other.held;
  }

  /** When the first refused or parked key is due; Infinity: none is. */
  nextDueMs(): number {
    let dueMs = Infinity;
    for (const entry of this.#parked.values()) dueMs = Math.min(dueMs, entry.dueMs);
    for (const entry of this.refused.values()) dueMs = Math.min(dueMs, entry.dueMs);
    return dueMs;
  }

  /** Makes pending what is due. */
  takeDue(nowMs: number): void {
    for (const [key, { change, held, dueMs }] of this.refused) {
      if (dueMs > nowMs || this.#pending.has(key)) continue;
      // Everything on a link depends on it.
      if (change.object.kind === 'link') this.doubt();
      else this.#pending.set(key, held);
    }
    for (const [key, { held, dueMs, needsRead }] of this.#parked) {
      if (dueMs > nowMs) continue;
      this.#parked.delete(key);
      if (needsRead) this.doubt();
      else this.#pending.set(key, held);
    }
  }

  /** The changes that lead to the wanted state: from all that was read, or else from the pending keys alone. */
  take(read: HostState | undefined, nowMs: number): Steps {
    const [pending, fresh] = [this.#pending, this.#fresh];
    const changes = read === undefined ? this.#stepsByKey() : this.#stepsFrom(read, nowMs);
    const tried = new Set(read === undefined ? pending.keys() : this.refused.keys());
    for (const key of tried) if (!this.refused.has(key)) tried.delete(key);
    this.#pending = new Map();
    this.#fresh = new Set();
    return { changes, tried, isNew: (key) => fresh.has(key) || this.refused.has(key) };
  }

  #stepsFrom(read: HostState, nowMs: number): Change[] {
    for (const [key, { dueMs }] of this.#parked) if (dueMs <= nowMs) this.#parked.delete(key);
    const changes = diff([...this.wanted.values()], read);
    return changes.filter(({ object }) => object.kind === 'link' || !this.#parked.has(keyOf(object)));
  }

  #stepsByKey(): Change[] {
    const before = [...this.#pending.values()].filter((object) => object !== undefined);
    const after = [...this.#pending.keys()].flatMap((key) => this.wanted.get(key) ?? []);
    if (![...before, ...after].some(({ kind }) => kind === 'link')) return diff(after, before);
    // Objects disappear with their link, whether they are pending or not.
    const rest = [...this.wanted.keys()].filter((key) => !this.#pending.has(key));
    return diff([...this.wanted.values()], [...before, ...rest.flatMap((key) => this.#held(key) ?? [])]);
  }

  /** Takes in the result of these steps. */
  settle(
    { changes, tried, isNew }: Steps,
    failures: readonly ChangeFailure[],
    peerOf: (key: string) => PeerName | undefined,
    nowMs: number,
  ): void {
    for (const { object } of changes) this.fights.repaired(keyOf(object), nowMs);
    const missing = this.#missingLinks(failures);
    const refused = new Set<string>();
    for (const failure of failures) {
      const { object } = failure.change;
      if (this.#isOfOwnLink(failure)) {
        // The link's own refusal says it all. Without one, its event is still to come.
        if (!missing.has(linkOf(object) ?? '')) this.doubt();
        continue;
      }
      const key = keyOf(object);
      refused.add(key);
      const peer = isOfTheNode(failure) ? undefined : peerOf(key);
      const about = { peer, isRepair: !isNew(key) };
      this.refused.set(key, refusalOf(failure, about, this.refused.get(key), nowMs));
    }
    for (const key of tried) if (!refused.has(key)) this.refused.delete(key);
  }

  /** Whether a link of ours is gone or down, and so refuses what is to be put on it. */
  #isOfOwnLink({ change, error }: ChangeFailure): boolean {
    const isGone = error.errno === 'ENODEV' || error.errno === 'ENETDOWN';
    return isGone && this.wanted.has(`link ${linkOf(change.object)}`);
  }

  #missingLinks(failures: readonly ChangeFailure[]): ReadonlySet<string> {
    const links = new Set<string>();
    for (const { change } of failures) if (change.object.kind === 'link') links.add(change.object.name);
    for (const { change } of this.refused.values())
      if (change.object.kind === 'link') links.add(change.object.name);
    return links;
  }

  /** Takes in an event. True: there may be work. */
  notice(event: KernelEvent, nowMs: number): boolean {
    switch (event.type) {
      case 'written':
        return this.#noticeWritten(event.object, nowMs);
      case 'gone':
        return this.#noticeGone(event.key, event.line, nowMs);
      case 'foreign':
        return this.#noticeForeign(event.key);
      case 'link':
        if (!this.#linkUses.has(event.name)) return false;
        this.doubt();
        return true;
      case 'unknown':
        this.doubt();
        return true;
    }
  }

  #noticeWritten(object: HostObject, nowMs: number): boolean {
    const key = keyOf(object);
    const line = formatObject(object);
    const wanted = this.wanted.get(key);
    if (wanted !== undefined && formatObject(wanted) === line) {
      // It was put right before we came to it. A key that `set` has changed meanwhile stays.
      if (!this.#fresh.has(key)) this.#pending.delete(key);
      this.#parked.delete(key);
      return false;
    }
    const pending = this.#pending.get(key);
    // The echo of an earlier pass may come when the key is wanted otherwise already.
    if (pending !== undefined && formatObject(pending) === line) return false;
    return this.#contradict(key, object, object.kind === 'link', nowMs);
  }

  #noticeGone(key: string, line: string | undefined, nowMs: number): boolean {
    const wanted = this.wanted.get(key);
    const isOther = line !== undefined && wanted !== undefined && formatObject(wanted) !== line;
    if (wanted === undefined || isOther) {
      if (this.#pending.has(key)) this.#pending.set(key, undefined);
      if (wanted === undefined) this.#parked.delete(key);
      return false;
    }
    // A link takes what is on it along, and the routes of an address go silently.
    return this.#contradict(key, undefined, key.startsWith('link ') || key.startsWith('addr '), nowMs);
  }

  #noticeForeign(key: string): boolean {
    const refusal = this.refused.get(key);
    if (refusal !== undefined) {
      const dueMs = Math.min(refusal.dueMs, refusal.atMs + LIMITS.refusalAgainMs);
      this.refused.set(key, { ...refusal, dueMs });
      return true;
    }
    if (!this.wanted.has(key)) return false;
    // It may have taken the place of ours.
    this.doubt();
    return true;
  }

  /** Another program changed one object: the kernel holds `held` in its place. */
  #contradict(key: string, held: HostObject | undefined, needsRead: boolean, nowMs: number): boolean {
    if (this.#fresh.has(key)) {
      this.#pending.set(key, held);
      if (needsRead) this.doubt();
      return true;
    }
    const dueMs = this.fights.undone(key, held && formatObject(held), nowMs);
    this.#parked.set(key, { held, dueMs, needsRead });
    return true;
  }
}
