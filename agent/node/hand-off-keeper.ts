// Hands this node's subnet to the programs that start containers, and retries where that fails.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import type { HandOff, SubnetEnv } from '../model/hand-off.ts';
import type { Prefix } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

export interface HandOffKeeperDeps {
  readonly handOff: HandOff;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Wanted {
  /** The values to hand over; undefined: none. */
  readonly env: SubnetEnv | undefined;
  /** Without values: the subnet in which engines may start containers all the same. */
  readonly subnet: Prefix | undefined;
}

export class HandOffKeeper {
  readonly #deps: HandOffKeeperDeps;
  readonly #bell;
  readonly #slot;
  #wanted: Wanted | undefined;
  #stands = false;

  constructor(deps: HandOffKeeperDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#slot = createConditionSlot('hand-off', deps.log, deps.clock);
  }

  /**
   * Sets the values to hand over. Undefined: none. Values that were handed over stay then, but no engine starts
   * containers by them outside of `subnet`; undefined: none at all.
   */
  want(env: SubnetEnv | undefined, subnet?: Prefix): void {
    const wanted = { env, subnet };
    if (isDeepStrictEqual(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    this.#stands = false;
    this.#bell.ring();
  }

  /** Whether the wanted values have been handed over. */
  get stands(): boolean {
    return this.#stands;
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#slot);
  }

  /** Works until `signal` is aborted. Calls `onChange` when the wanted values have been handed over. */
  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    const { handOff, clock, random, log } = this.#deps;
    for (let failures = 0; ; ) {
      await this.#bell.wait(signal);
      const wanted = this.#wanted;
      if (wanted === undefined) continue;
      try {
        if (wanted.env === undefined) await handOff.retract(wanted.subnet);
        else if (await handOff.write(wanted.env)) log.info(`wrote ${handOff.name}`);
        failures = 0;
        this.#slot.clear();
        if (wanted.env === undefined) continue;
        this.#stands = wanted === this.#wanted;
        onChange();
      } catch (error) {
        signal.throwIfAborted();
        failures++;
        this.#slot.fail(asTwillError(error, 'host', `cannot write ${handOff.name}`).message);
        await clock.sleep(backoffMs(LIMITS.retryBackoff, failures, random), signal);
        this.#bell.ring();
      }
    }
  }
}
