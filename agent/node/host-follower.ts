// Follows the facts of this host. Its underlay may go down and come back, get another address or another MTU, or give
// way to another interface. While no interface fits the operator's flags, the last facts stay true and the node is not
// ready.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, messageOf } from '../base/errors.ts';
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
  #listener: ((change: HostChange) => void) | undefined;

  constructor(deps: HostFollowerDeps, first: HostFacts) {
    this.#deps = deps;
    this.#facts = first;
    this.#bell = createBell(deps.clock);
    this.#slot = createConditionSlot('underlay', deps.log);
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
    await runTasks(signal, [
      async (until) => {
        try {
          await hostSource.watch(() => this.#bell.ring(), until);
        } catch (error) {
          log.info(`polling the interfaces: ${messageOf(error)}`);
        }
      },
      async (until) => {
        for (;;) {
          const why = await this.#bell.wait(until, LIMITS.hostLookMs);
          if (why === 'rung') await clock.sleep(LIMITS.hostDelayMs, until);
          const isWell = await this.#look(until);
          // A rate limit: containers come and go all the time on a busy host. None where the underlay is gone.
          if (why === 'rung' && isWell) await clock.sleep(LIMITS.hostPauseMs, until);
        }
      },
    ]);
  }

  /** Reads the facts, and tells of a change. True: the underlay can be used. */
  async #look(signal: AbortSignal): Promise<boolean> {
    const { hostSource, clock, log } = this.#deps;
    let facts: HostFacts;
    try {
      facts = await hostSource.read();
      if (isMoved(this.#facts, facts)) {
        await clock.sleep(LIMITS.hostSettleMs, signal);
        facts = await hostSource.read();
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#slot.fail(asTwillError(error, 'host', 'cannot read the interfaces').message);
      return false;
    }
    if (!facts.underlay.hasCarrier) {
      this.#slot.fail(`interface ${facts.underlay.name} has no carrier`);
      return false;
    }
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
}

function isMoved(before: HostFacts, after: HostFacts): boolean {
  if (before.underlay.name !== after.underlay.name) return true;
  return FAMILIES.some((family) => {
    const [was, is] = [before.ends[family], after.ends[family]];
    return was?.address !== is?.address || was?.publicIP !== is?.publicIP;
  });
}

function describe({ underlay, ends }: HostFacts): Record<string, string | number | undefined> {
  return { address: ends.ipv4?.address, public_ip: ends.ipv4?.publicIP, mtu: underlay.mtuBytes };
}
