// Keeps the filter of the tunnel port in place, for the peers of now. It works beside the loops that make routes. No
// failure of it makes the node not ready: the tunnels carry packets without it.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, withHint } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import { createRepairBackoff } from '../firewall/repair-backoff.ts';
import type { Backend } from '../model/backend.ts';
import type { Plane } from '../model/plane.ts';
import type { RulesetChange } from '../model/ruleset.ts';
import type { Tunnel, TunnelFilter, TunnelRules } from '../model/tunnel-filter.ts';
import { LIMITS } from './limits.ts';
import { createPace } from './pace.ts';
import type { Planner } from './planner.ts';
import type { PublicAddresses } from './public-addresses.ts';

export interface TunnelKeeperDeps {
  readonly filter: TunnelFilter;
  /** False: the operator wants none. */
  readonly isEnabled: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Wanted {
  readonly rules: TunnelRules;
  /** The addresses of the peers, as they are now. Those of this node are in the rules. */
  readonly peers: PublicAddresses;
}

export class TunnelKeeper {
  readonly #deps: TunnelKeeperDeps;
  readonly #bell;
  readonly #backoff;
  readonly #pace;
  /** The plane that is wanted now. */
  #plane: Plane | undefined;
  /** Undefined: no filter, and none of earlier runs. */
  #wanted: Wanted | undefined;
  #isWanted = false;
  /** The kernel holds this, but for the changes that nobody has taken; undefined: all has to be written. */
  #held: Wanted | undefined;
  #isRemoved = false;
  #isRenewalDue = false;
  /** A change may have undone the rules. */
  #isLookDue = false;
  /** The failure that was logged last, as long as it lasts. */
  #failure: string | undefined;

  constructor(deps: TunnelKeeperDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#backoff = createRepairBackoff(deps);
    this.#pace = createPace(deps.clock);
  }

  /**
   * Wants the filter for the peers of the plane, which come and go later. Without a plane there is none. `follow`
   * writes it.
   */
  want({ tunnel }: Backend, planner: Pick<Planner, 'planes' | 'publicAddresses'>): void {
    const [plane] = planner.planes;
    if (plane !== this.#plane || !this.#isWanted) this.#wanted = this.#wantedFor(tunnel, plane, planner);
    this.#plane = plane;
    this.#isWanted = true;
  }

  /** Writes what is wanted by now. */
  follow(): void {
    this.#bell.ring();
  }

  /** Takes notice of a change of any firewall rules; undefined: some may have changed unheard. */
  notice(change?: RulesetChange): void {
    if (change !== undefined && !this.#deps.filter.isConcerned(change)) return;
    this.#isLookDue = true;
    this.#bell.ring();
  }

  /** Writes what changed, and everything from time to time, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await runTasks(signal, [(until) => this.#follow(until), (until) => this.#renew(until)]);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    for (let failures = 0; ; ) {
      await this.#bell.wait(signal);
      if (!this.#isWanted) continue;
      const restMs = this.#pace.waitMs(LIMITS.tunnelParts, 0);
      if (restMs > 0) await clock.sleep(restMs, signal);
      try {
        await this.#pace.during(() => this.#make(signal));
        if (this.#failure !== undefined) log.info('the tunnel port can be filtered again');
        this.#failure = undefined;
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        this.#held = undefined;
        const reason = withHint(asTwillError(error, 'host', 'cannot filter the tunnel port'));
        if (reason !== this.#failure) log.warn(reason);
        this.#failure = reason;
        failures++;
        await clock.sleep(backoffMs(LIMITS.tunnelBackoff, failures, random), signal);
        this.#bell.ring();
      }
    }
  }

  #wantedFor(
    tunnel: Tunnel | undefined,
    plane: Plane | undefined,
    { publicAddresses: peers }: Pick<Planner, 'publicAddresses'>,
  ): Wanted | undefined {
    if (plane === undefined || tunnel === undefined || !this.#deps.isEnabled) return undefined;
    const { network, subnet, end } = plane;
    return { rules: { tunnel, network, subnet, addresses: [end.address, end.publicIP] }, peers };
  }

  async #renew(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deps.clock.sleep(LIMITS.tunnelRenewMs, signal);
      this.#isRenewalDue = true;
      this.#bell.ring();
    }
  }

  async #make(signal: AbortSignal): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === undefined) return this.#remove(signal);
    const { rules, peers } = wanted;
    const held = this.#held;
    const isUndone = held !== undefined && this.#isLookDue && !(await this.#deps.filter.stands(signal));
    this.#isLookDue = false;
    // Another plane may have the same rules.
    const isSame = held === wanted || (held?.peers === peers && isDeepStrictEqual(rules, held.rules));
    if (!isSame || isUndone || this.#isRenewalDue) {
      await this.#replace(wanted, signal);
      if (held === undefined)
        this.#deps.log.info('only nodes reach the tunnel port', { port: rules.tunnel.port });
      if (isUndone) await this.#countRepair(signal);
      return;
    }
    const isPeers = (address: string): boolean => !rules.addresses.includes(address);
    const moved = peers.take();
    const [added, removed] = [moved.added.filter(isPeers), moved.removed.filter(isPeers)];
    if (added.length === 0 && removed.length === 0) return;
    // Until it has succeeded, the kernel may hold either.
    this.#held = undefined;
    await this.#deps.filter.change(added, removed, signal);
    this.#held = wanted;
  }

  async #replace(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { rules, peers } = wanted;
    this.#held = undefined;
    this.#isRemoved = false;
    this.#isRenewalDue = false;
    peers.take();
    await this.#deps.filter.replace(rules, new Set([...rules.addresses, ...peers]), signal);
    this.#held = wanted;
  }

  async #countRepair(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#deps;
    log.warn('repaired the filter of the tunnel port');
    this.#backoff.countRepair();
    await clock.sleep(this.#backoff.pauseMs, signal);
  }

  async #remove(signal: AbortSignal): Promise<void> {
    this.#held = undefined;
    if (this.#isRemoved) return;
    if (await this.#deps.filter.remove(signal)) this.#deps.log.info('removed the filter of the tunnel port');
    this.#isRemoved = true;
  }
}
