// Keeps this node's firewall rules as its subnet needs them, and looks for chains of others that overrule them.
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { createRepairBackoff } from '../firewall/repair-backoff.ts';
import { type FirewallInput, planFirewall } from '../firewall/rules.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import type { Prefix } from '../model/ip.ts';
import type { Troubles } from '../observe/troubles.ts';
import { LIMITS } from './limits.ts';

export interface FirewallKeeperDeps {
  readonly firewall: NodeFirewall;
  /** What the rules depend on beside the subnet. */
  readonly wishes: Omit<FirewallInput, 'subnet'>;
  /** The subnet that we may use now; undefined: none, and no rules. */
  readonly subnet: () => Prefix | undefined;
  /** A look without any event. */
  readonly resyncMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly troubles: Troubles;
}

export class FirewallKeeper {
  readonly #deps: FirewallKeeperDeps;
  readonly #bell;
  readonly #backoff;
  #work: Promise<void> = Promise.resolve();

  constructor(deps: FirewallKeeperDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#backoff = createRepairBackoff(deps);
  }

  /** Takes notice of a change of rules, ours or anybody's, or of the subnet. */
  notice(): void {
    this.#bell.ring();
  }

  /** Looks at the rules after each notice, and from time to time, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, resyncMs } = this.#deps;
    for (;;) {
      const why = await this.#bell.wait(signal, resyncMs);
      // Who changes rules seldom changes one, and our own changes are told of too.
      if (why === 'rung') await clock.sleep(LIMITS.firewallDelayMs, signal);
      // Chains of others in nftables do not change unheard.
      await this.ensure(signal, why === 'rung');
      await clock.sleep(this.#backoff.pauseMs, signal);
    }
  }

  /**
   * Makes the rules as they should be, and with `looksAround` (the default) looks for chains that overrule them. What
   * is refused or found is a trouble, not an error.
   *
   * One after the other: two that write the same chains at once would undo each other.
   */
  ensure(signal: AbortSignal, looksAround = true): Promise<void> {
    const work = this.#work.then(async () => {
      await this.#set(signal);
      if (looksAround) await this.#lookForObstacles(signal);
    });
    this.#work = work.catch(() => undefined);
    return work;
  }

  async #set(signal: AbortSignal): Promise<void> {
    const { firewall, wishes, log, troubles } = this.#deps;
    const subnet = this.#deps.subnet();
    try {
      if (subnet === undefined) {
        if (await firewall.remove(signal)) log.warn(`removed the ${firewall.mode} rules`);
      } else if ((await firewall.ensure(planFirewall({ ...wishes, subnet }), signal)) === 'repaired') {
        if (troubles.has('agent')) log.info(`set the ${firewall.mode} rules`);
        else {
          log.warn(`repaired the ${firewall.mode} rules`);
          this.#backoff.countRepair();
        }
      }
      troubles.clear('firewall');
    } catch (error) {
      signal.throwIfAborted();
      const { message } = asTwillError(error, 'host', `cannot set the ${firewall.mode} rules`);
      troubles.complain('firewall', message);
    }
  }

  // What no rule of ours can overrule: the node is not ready while it stands.
  async #lookForObstacles(signal: AbortSignal): Promise<void> {
    const { firewall, wishes, log, troubles } = this.#deps;
    if (!wishes.forwardRules) return;
    const obstacles = await firewall.obstacles(wishes.network, signal);
    if (obstacles.length > 0) troubles.complain('obstacle', obstacles.join('; '));
    else if (troubles.clear('obstacle')) log.info('no chain of others drops what we accept any more');
  }
}
