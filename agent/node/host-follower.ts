// Follows the facts of this host. Its underlay may go down and come back, or get another MTU. Another address or link
// counts only when the one in use is gone: peers have to follow, so nothing that merely fits better is a reason. While
// no interface fits the operator's flags, the last facts stay true and the node is not ready.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, errnoOf, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { runTasks } from '../base/tasks.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import type { HostFacts, HostSource } from '../model/host-facts.ts';
import { FAMILIES } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

export interface HostFollowerDeps {
  readonly hostSource: HostSource;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface HostChange {
  readonly facts: HostFacts;
  /** The interface, our address on it or our public address is another one. */
  readonly moved: boolean;
  /** The underlay can be used again after a fault. It may be another one. */
  readonly back: boolean;
}

export class HostFollower {
  readonly #deps: HostFollowerDeps;
  readonly #bell;
  readonly #slot;
  #facts: HostFacts;
  /** When the underlay in use was found to be gone; undefined: it is usable. */
  #goneSinceMs: number | undefined;
  /** The facts that shall take the place of those in use, and when they were read first. */
  #next: { readonly facts: HostFacts; readonly sinceMs: number } | undefined;
  /** Whether the system refused the last reading, as where no file descriptor was left. */
  #isRefused = false;
  #listener: ((change: HostChange) => void) | undefined;

  constructor(deps: HostFollowerDeps, first: HostFacts) {
    this.#deps = deps;
    this.#facts = first;
    this.#bell = createBell(deps.clock);
    this.#slot = createConditionSlot('underlay', deps.log, deps.clock);
    // The host may have changed since `first` was read.
    this.#bell.ring();
    deps.log.info(`using ${first.underlay.name}`, { ...describe(first), node: first.node.name });
  }

  get facts(): HostFacts {
    return this.#facts;
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#slot);
  }

  /** From now on `listener` is told of each change. */
  listen(listener: (change: HostChange) => void): void {
    this.#listener = listener;
  }

  /** Follows the host until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { hostSource, clock, log } = this.#deps;
    let isWatched = true;
    let isWell = false;
    await runTasks(signal, [
      async (until) => {
        try {
          await hostSource.watch(() => this.#bell.ring(), until);
        } catch (error) {
          log.info(`polling the interfaces: ${messageOf(error)}`);
        }
        isWatched = false;
        this.#bell.ring();
      },
      async (until) => {
        for (;;) {
          const lookMs = isWatched && isWell ? LIMITS.hostWatchedLookMs : LIMITS.hostLookMs;
          const againMs = this.#isRefused ? LIMITS.hostReadAgainMs : lookMs;
          const why = await this.#bell.wait(until, Math.min(this.#untilMoveMs(), againMs));
          if (why === 'rung') await clock.sleep(LIMITS.hostDelayMs, until);
          const startMs = clock.monotonicMs();
          isWell = await this.#look(until);
          const tookMs = clock.monotonicMs() - startMs;
          // A rate limit: events may come all the time on a busy host, where a look takes longer.
          const longMs = Math.min(tookMs * LIMITS.hostPauseLooks, LIMITS.hostPauseMaxMs);
          const pauseMs = Math.max(isWell ? LIMITS.hostPauseMs : LIMITS.hostRetryMs, longMs);
          if (why === 'rung') await clock.sleep(pauseMs, until);
        }
      },
    ]);
  }

  /** Reads the facts, and tells of a change. True: the underlay can be used. */
  async #look(signal: AbortSignal): Promise<boolean> {
    const { hostSource, log } = this.#deps;
    let facts: HostFacts;
    try {
      facts = await hostSource.read(this.#facts);
      this.#isRefused = false;
    } catch (error) {
      signal.throwIfAborted();
      this.#next = undefined;
      this.#isRefused = errnoOf(error) !== undefined;
      return this.#miss(asTwillError(error, 'host', 'cannot read the interfaces').message);
    }
    const noCarrier = carrierTrouble(facts);
    // A link without carrier takes nobody's place.
    if (noCarrier !== undefined) this.#next = undefined;
    const trouble = noCarrier ?? this.#waitToMove(facts);
    if (trouble !== undefined) return this.#miss(trouble);
    this.#goneSinceMs = undefined;
    this.#next = undefined;
    const back = this.#slot.clear();
    const before = this.#facts;
    if (!back && isDeepStrictEqual(before, facts)) return true;
    this.#facts = facts;
    const moved = isMoved(before, facts);
    if (moved || before.underlay.mtuBytes !== facts.underlay.mtuBytes) {
      log.warn(`the underlay has changed: using ${facts.underlay.name}`, describe(facts));
    } else if (back) log.info(`${facts.underlay.name} is back`);
    this.#listener?.({ facts, moved, back });
    return true;
  }

  #miss(why: string): false {
    this.#goneSinceMs ??= this.#deps.clock.monotonicMs();
    this.#slot.fail(why);
    return false;
  }

  /** The reason why other facts do not count yet; undefined: they do, or they are of the underlay in use. */
  #waitToMove(facts: HostFacts): string | undefined {
    if (!isMoved(this.#facts, facts)) return undefined;
    const sinceMs = this.#deps.clock.monotonicMs();
    this.#goneSinceMs ??= sinceMs;
    if (this.#next === undefined || isMoved(this.#next.facts, facts)) this.#next = { facts, sinceMs };
    if (this.#untilMoveMs() <= 0) return undefined;
    const [was, next] = [this.#facts, facts].map(
      ({ underlay, ends }) => `${underlay.name} ${ends.ipv4?.address}`,
    );
    return `${was} is down or gone; ${next} is about to take its place`;
  }

  /** The time until the next facts count; Infinity: there are none. */
  #untilMoveMs(): number {
    if (this.#next === undefined) return Infinity;
    const { facts, sinceMs } = this.#next;
    const settledMs = sinceMs + LIMITS.hostSettleMs;
    const leftMs = keepsLinkOrAddress(this.#facts, facts)
      ? settledMs
      : Math.max(settledMs, (this.#goneSinceMs ?? sinceMs) + LIMITS.hostLeaveMs);
    return Math.max(0, leftMs - this.#deps.clock.monotonicMs());
  }
}

function carrierTrouble({ underlay }: HostFacts): string | undefined {
  if (underlay.hasCarrier) return undefined;
  return underlay.carriesPackets
    ? `interface ${underlay.name} has no carrier`
    : `no interface towards other hosts has carrier; our address is on ${underlay.name}`;
}

function keepsLinkOrAddress(before: HostFacts, after: HostFacts): boolean {
  if (before.underlay.name === after.underlay.name) return true;
  return FAMILIES.every((family) => before.ends[family]?.address === after.ends[family]?.address);
}

function isMoved(before: HostFacts, after: HostFacts): boolean {
  if (before.underlay.name !== after.underlay.name) return true;
  return FAMILIES.some((family) => {
    const [was, is] = [before.ends[family], after.ends[family]];
    return was?.address !== is?.address || was?.publicIP !== is?.publicIP;
  });
}

function describe({ underlay, ends, why }: HostFacts): Record<string, string | number | undefined> {
  return { address: ends.ipv4?.address, public_ip: ends.ipv4?.publicIP, mtu: underlay.mtuBytes, why };
}
