// Holds this node's lease in Kubernetes: the podCIDR that its own Node assigns to it, and the annotations by which
// peers find it.
//
//     own Node ─▶ assignment ─▶ subnets             the watch and each answer to a write tell of the own Node
//         ▲   └─▶ overwrites ─▶ wanted annotations
//         └── patch ◀── what differs ─┘
//
// A subnet stays in use while the Node is away or assigns none: an API that forgets cuts nobody off. It goes when the
// Node assigns another one, or when another Node has it meanwhile.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { withHint } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import { formatPrefix, type PerFamily, type Prefix, samePrefix } from '../model/ip.ts';
import type { HolderInput, LeaseHolder, OwnAttrs } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import type { LeaseTerm } from '../model/status.ts';
import type { Annotation } from './annotation-names.ts';
import { ApiError } from './api/api-error.ts';
import { type Assignment, conditionOf, readAssignment } from './assignment.ts';
import { LIMITS } from './limits.ts';
import { type Announcement, changesOf, formatAnnouncement } from './node-lease.ts';
import type { NodeObject } from './node-object.ts';
import type { OwnListener } from './node-watch.ts';
import type { NodeWriter } from './node-writer.ts';
import { readAddress } from './own-annotations.ts';
import { RewritePace } from './rewrite-pace.ts';
import { Rivals } from './rivals.ts';

/** The own Node as it is told of. `NodeWatch` tells. */
export interface OwnNodeSource {
  /** Undefined: not known yet, or it does not exist. */
  readonly own: NodeObject | undefined;
  listen(listener: OwnListener): void;
}

export interface NodeHolderDeps extends HolderInput {
  readonly nodeName: string;
  readonly source: OwnNodeSource;
  readonly writer: NodeWriter;
  /** Whether the condition NetworkUnavailable is set, and set again. */
  readonly setsAvailable: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

/** A write that is due. */
type Task = {
  /** Of the Node that it is for. */
  readonly uid: string;
  /** It was written, or found, before: somebody has changed it since. */
  readonly isByOthers: boolean;
} & (
  | {
      readonly kind: 'annotate';
      readonly changes: Announcement;
      readonly wanted: Announcement;
      readonly found: Announcement;
    }
  | { readonly kind: 'set-available'; readonly found: Readonly<Record<string, string>> }
);

export class NodeHolder implements LeaseHolder {
  readonly #deps: NodeHolderDeps;
  /** Rung when the own Node, the announcement or readiness changes. */
  readonly #bell;
  readonly #pace;
  readonly #rivals;
  /** About our writes. */
  readonly #slot;
  #attrs: OwnAttrs;
  #assignment: Assignment = { kind: 'waiting', reason: 'waiting for a podCIDR' };
  #subnets: { readonly ipv4: Prefix } | undefined;
  #isReady = false;
  /** The annotations as written or found last, with the uid of their Node. */
  #announced: { readonly uid: string; readonly wanted: Announcement } | undefined;
  /** The uid of the Node whose condition was False last. */
  #available: string | undefined;
  /** The answer to the last write, while the watch may lag behind it. */
  #answer: { readonly node: NodeObject; readonly untilMs: number } | undefined;
  #overwriteFault: string | undefined;
  #rewrites = 0;
  /** Given to `run`. */
  #onChange: () => void = () => undefined;

  constructor(deps: NodeHolderDeps) {
    this.#deps = deps;
    this.#attrs = deps.attrs;
    this.#bell = createBell(deps.clock);
    this.#pace = new RewritePace(deps.clock, deps.random);
    this.#rivals = new Rivals(deps.known);
    this.#slot = createConditionSlot('lease', deps.log, deps.clock);
    this.#slot.wait('announcing this node');
    this.#follow();
    deps.source.listen(() => {
      if (this.#follow()) this.#onChange();
      this.#bell.ring();
    });
  }

  get subnets(): PerFamily<Prefix> | undefined {
    return this.#subnets;
  }

  /** Annotations and conditions that were written again because others had changed them, since the start. */
  get rewrites(): number {
    return this.#rewrites;
  }

  /** From now on NetworkUnavailable is kept False. */
  noticeReady(): void {
    this.#isReady = true;
    this.#bell.ring();
  }

  term(): LeaseTerm | undefined {
    return this.#subnets && { kind: 'assigned', expiresMs: undefined };
  }

  conditions(): readonly Condition[] {
    const assignment = conditionOf(this.#assignment);
    if (assignment !== undefined && this.#subnets === undefined) return [assignment];
    const rival = this.#rivals.conditionFor(this.#deps.source.own);
    return [assignment ?? [], rival ?? [], conditionsIn(this.#slot)].flat();
  }

  /** Waits for a podCIDR. The node is announced by `run`: peers may know it when its data path stands. */
  async acquire(_previous: PerFamily<Prefix> | undefined, signal: AbortSignal): Promise<void> {
    while (this.#subnets === undefined) await this.#bell.wait(signal);
  }

  announce(attrs: OwnAttrs): void {
    if (isDeepStrictEqual(attrs, this.#attrs)) return;
    this.#attrs = attrs;
    this.#bell.ring();
  }

  notice(event: StoreEvent): void {
    if (this.#rivals.notice(event)) this.#follow();
  }

  /** A podCIDR never expires, and the watch tells of another one. */
  recheck(): void {}

  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    for (;;) {
      const task = this.#due();
      const leftMs = task === undefined ? this.#staleMs() : this.#pace.leftMs(task.isByOthers);
      if (task === undefined || (leftMs ?? 0) > 0) await this.#bell.wait(signal, leftMs);
      else await this.#write(task, signal);
    }
  }

  #reason(): string | undefined {
    return conditionOf(this.#assignment)?.reason;
  }

  #read(): Assignment {
    const { nodeName, config, spared, source } = this.#deps;
    const { network, subnetMin: example } = config;
    return readAssignment(source.own, { nodeName, network, example, spared: spared() });
  }

  /** Makes the subnets those of the present assignment. True: they changed. */
  #follow(): boolean {
    const { log } = this.#deps;
    const before = this.#subnets?.ipv4;
    const former = this.#reason();
    this.#assignment = this.#read();
    const reason = this.#reason();
    if (reason !== undefined && reason !== former)
      log.warn(before === undefined ? reason : `${reason}; routes and rules stay meanwhile`);
    const after = this.#wanted(before);
    if (after === before || (after !== undefined && before !== undefined && samePrefix(after, before)))
      return false;
    this.#subnets = after && { ipv4: after };
    this.#rivals.follow(after);
    if (after !== undefined && before === undefined)
      log.info('the podCIDR of this Node is our subnet', { subnet: formatPrefix(after) });
    if (after !== undefined && before !== undefined) {
      log.error('this Node has another podCIDR: running containers keep addresses of the former one', {
        subnet: formatPrefix(after),
        former: formatPrefix(before),
      });
    }
    return true;
  }

  #wanted(before: Prefix | undefined): Prefix | undefined {
    if (this.#assignment.kind === 'assigned') return this.#assignment.subnet;
    const [rival] = this.#rivals.names;
    if (before === undefined || rival === undefined) return before;
    this.#deps.log.error(`our subnet is the podCIDR of Node ${rival} now: it is not used any more`, {
      subnet: formatPrefix(before),
    });
    return undefined;
  }

  /** The own Node as known best; undefined: there is none. */
  #own(): NodeObject | undefined {
    const { source, clock } = this.#deps;
    const { own } = source;
    const answer = this.#answer;
    if (own === undefined || answer === undefined) return own;
    const isBehind =
      own.uid === answer.node.uid && Number(own.resourceVersion) < Number(answer.node.resourceVersion);
    if (isBehind && clock.monotonicMs() < answer.untilMs) return answer.node;
    this.#answer = undefined;
    return own;
  }

  /** Milliseconds until the watch is believed again; undefined: it is. */
  #staleMs(): number | undefined {
    return this.#answer && Math.max(0, this.#answer.untilMs - this.#deps.clock.monotonicMs());
  }

  #due(): Task | undefined {
    const own = this.#own();
    if (own === undefined || this.#assignment.kind !== 'assigned') {
      this.#slot.clear();
      return undefined;
    }
    const { uid } = own;
    const wanted = formatAnnouncement(this.#attrs, this.#overwrites(own));
    const changes = changesOf(own, wanted);
    if (changes !== undefined) {
      const announced = this.#announced;
      const isByOthers = announced?.uid === uid && isDeepStrictEqual(announced.wanted, wanted);
      return { kind: 'annotate', uid, changes, wanted, found: foundInstead(own, changes), isByOthers };
    }
    this.#announced = { uid, wanted };
    const isDone = !this.#isReady || !this.#deps.setsAvailable || own.networkUnavailable === 'False';
    if (isDone) {
      if (own.networkUnavailable === 'False') this.#available = uid;
      this.#slot.clear();
      return undefined;
    }
    const found = { NetworkUnavailable: own.networkUnavailable ?? 'missing' };
    return { kind: 'set-available', uid, found, isByOthers: this.#available === uid };
  }

  #overwrites(own: NodeObject): Announcement {
    const { address, fault } = readAddress(own, 'public-ip-overwrite');
    if (fault !== undefined && fault !== this.#overwriteFault) this.#deps.log.warn(fault);
    this.#overwriteFault = fault;
    return address === undefined ? {} : { 'public-ip-overwrite': address };
  }

  async #write(task: Task, signal: AbortSignal): Promise<void> {
    const { writer, clock } = this.#deps;
    try {
      const node = await (task.kind === 'annotate'
        ? writer.annotate(task.changes, signal)
        : writer.setAvailable(signal));
      this.#answer = node && { node, untilMs: clock.monotonicMs() + LIMITS.staleMs };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError)) throw error;
      this.#pace.fail(error);
      this.#slot.fail(withHint(error), error.hint ?? error.message);
      return;
    }
    const rewrites = this.#pace.succeed(task.isByOthers);
    // Also where the answer lacks the change: somebody who drops it at once overwrites it, too.
    if (task.kind === 'annotate') this.#announced = task;
    else this.#available = task.uid;
    this.#report(task, rewrites);
  }

  #report(task: Task, rewrites: number): void {
    const { log, nodeName } = this.#deps;
    const values = task.kind === 'annotate' ? task.changes : { NetworkUnavailable: 'False' };
    if (!task.isByOthers) return log.info('wrote into the own Node', values);
    this.#rewrites += 1;
    log.warn('others had changed our part of the own Node: wrote it again', values);
    if (rewrites !== LIMITS.fightRewrites) return;
    log.error(
      `another program writes into Node ${nodeName} again and again: one agent may run on a host, Twill or flanneld`,
      task.found,
    );
  }
}

/** The values of others where changes are due. */
function foundInstead({ annotations }: NodeObject, changes: Announcement): Announcement {
  const names = Object.keys(changes) as Annotation[];
  return Object.fromEntries(names.map((name) => [name, annotations[name] ?? 'missing']));
}
