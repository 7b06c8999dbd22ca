// Keeps the wanted firewall rules in place, and looks for foreign chains that overrule them.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { createRepairBackoff } from '../firewall/repair-backoff.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import type { FirewallRules, NodeFirewall, Traffic } from '../model/firewall.ts';
import { type Metric, single } from '../model/metrics.ts';
import type { RulesetChange } from '../model/ruleset.ts';
import type { FirewallState } from '../model/status.ts';
import { LIMITS } from './limits.ts';
import { createPace, type Pace } from './pace.ts';

export interface FirewallKeeperDeps {
  readonly firewall: NodeFirewall;
  /** Interval of looks without any event. */
  readonly resyncMs: number;
  /** Whether the kernel's events of rules arrive. */
  readonly isWatched: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class FirewallKeeper {
  readonly #deps: FirewallKeeperDeps;
  /** Rung by everything that calls for a look. */
  readonly #bell;
  /** Rung by `want` alone, which cuts pauses short. */
  readonly #wantBell;
  readonly #backoff;
  readonly #rulesSlot;
  readonly #obstacleSlot;
  /** Undefined: no rules of ours. */
  #wanted: FirewallRules | undefined;
  /** It must pass foreign chains; undefined: nothing has to. */
  #traffic: Traffic | undefined;
  #isWanted = false;
  #stands = false;
  /** A change may have undone our rules. */
  #isLookDue = false;
  /** A change may have made or removed an obstacle. */
  #isSearchDue = false;
  readonly #looks: Pace;
  readonly #searches: Pace;
  /** The part of the time that searches may take now. It shrinks while chains change and the result stays the same. */
  #searchParts: number = LIMITS.firewallSearchParts;
  #obstacles: readonly string[] = [];
  #repairs = 0;

  constructor(deps: FirewallKeeperDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#wantBell = createBell(deps.clock);
    this.#backoff = createRepairBackoff(deps);
    this.#looks = createPace(deps.clock);
    this.#searches = createPace(deps.clock);
    this.#rulesSlot = createConditionSlot('firewall', deps.log, deps.clock);
    this.#obstacleSlot = createConditionSlot('obstacle', deps.log, deps.clock);
  }

  /**
   * Sets the wanted rules; undefined: none of ours, and none of earlier runs. Foreign chains must let the traffic pass;
   * undefined: they need not.
   */
  want(rules: FirewallRules | undefined, traffic: Traffic | undefined): void {
    if (!isDeepStrictEqual(traffic, this.#traffic)) {
      this.#traffic = traffic;
      this.#isSearchDue = true;
      this.#bell.ring();
    }
    if (this.#isWanted && isDeepStrictEqual(rules, this.#wanted)) return;
    this.#wanted = rules;
    this.#isWanted = true;
    this.#stands = false;
    this.#bell.ring();
    this.#wantBell.ring();
  }

  /** Whether the rules that are wanted now have been set once, as far as the firewall took them. */
  get stands(): boolean {
    return this.#stands;
  }

  /** For people. */
  state(): FirewallState {
    const stands = this.#stands && this.#rulesSlot.current === undefined;
    return { mode: this.#deps.firewall.mode, stands, obstacles: this.#obstacles };
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#rulesSlot, this.#obstacleSlot);
  }

  metrics(): readonly Metric[] {
    return [
      single('twill_firewall_repairs_total', this.#repairs),
      single('twill_firewall_obstacles', this.#obstacles.length),
    ];
  }

  /** Takes notice of a change of any rules; undefined: some may have changed unheard. */
  notice(change?: RulesetChange): void {
    const { firewall } = this.#deps;
    const concerns = change === undefined || firewall.isConcerned(change);
    const mayObstruct = change === undefined || firewall.mayObstruct(change);
    if (concerns) this.#isLookDue = true;
    if (mayObstruct && !this.#isSearchDue) {
      // The chains have been quiet.
      if (this.#searches.waitMs(this.#searchParts, 0) === 0) this.#searchParts = LIMITS.firewallSearchParts;
      this.#isSearchDue = true;
    }
    if (concerns || mayObstruct) this.#bell.ring();
  }

  /**
   * Looks at the rules after each call and notice that concerns them, and from time to time, until `signal` is aborted.
   * Calls `onChange` when wanted rules have been set.
   */
  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    for (;;) {
      const untilMs = Math.min(this.#untilLookMs(), this.#untilSearchMs());
      const why = await this.#bell.wait(signal, this.#isWanted ? untilMs : undefined);
      // A program that changes one rule often changes more, and our own changes ring too.
      if (why === 'rung' && this.#stands) await this.#pause(LIMITS.firewallDelayMs, signal);
      if (!this.#isWanted) continue;
      const wanted = this.#wanted;
      const isNew = !this.#stands;
      if (isNew || this.#untilLookMs() === 0) {
        this.#isLookDue = false;
        await this.#looks.during(() => this.#set(wanted, isNew, signal));
        if (!this.#isSearchDue) this.#isSearchDue = await this.#deps.firewall.hasUnheardChange();
      }
      if (isNew || this.#untilSearchMs() === 0) {
        this.#isSearchDue = false;
        await this.#searches.during(() => this.#lookForObstacles(wanted, signal));
      }
      if (isNew && wanted === this.#wanted) {
        this.#stands = true;
        onChange();
      }
      await this.#pause(this.#backoff.pauseMs, signal);
    }
  }

  /** Milliseconds until the rules are looked at. */
  #untilLookMs(): number {
    if (this.#isLookDue) return this.#looks.waitMs(LIMITS.firewallBusyParts, 0);
    const { firewall, resyncMs, isWatched } = this.#deps;
    // Looks at the old iptables are spared by the firewall itself.
    if (!firewall.isAnnounced() || !isWatched() || this.#rulesSlot.current !== undefined)
      return this.#looks.waitMs(1, resyncMs);
    const shortestMs = Math.max(resyncMs, LIMITS.firewallAnnouncedMs);
    return this.#looks.waitMs(LIMITS.firewallIdleParts, shortestMs);
  }

  /** Milliseconds until obstacles are looked for. The kernel tells of each change of a foreign chain. */
  #untilSearchMs(): number {
    if (!this.#isSearchDue) return Number.POSITIVE_INFINITY;
    return this.#searches.waitMs(this.#searchParts, 0);
  }

  // Ends early when other rules are wanted.
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#stands) await this.#wantBell.wait(signal, ms);
  }

  async #set(wanted: FirewallRules | undefined, isNew: boolean, signal: AbortSignal): Promise<void> {
    const { firewall, log } = this.#deps;
    try {
      if (wanted === undefined) {
        if (await firewall.remove(signal)) log.warn(`removed the ${firewall.mode} rules`);
      } else if ((await firewall.ensure(wanted, signal)) === 'repaired') {
        if (isNew) log.info(`set the ${firewall.mode} rules`);
        else {
          log.warn(`repaired the ${firewall.mode} rules`);
          this.#repairs++;
          this.#backoff.countRepair();
        }
      }
      this.#rulesSlot.clear();
    } catch (error) {
      signal.throwIfAborted();
      this.#rulesSlot.fail(asTwillError(error, 'host', `cannot set the ${firewall.mode} rules`).message);
    }
  }

  // No rule of ours can overrule a foreign chain that drops: the node is not ready while there is one.
  async #lookForObstacles(wanted: FirewallRules | undefined, signal: AbortSignal): Promise<void> {
    const { firewall, log } = this.#deps;
    const traffic = wanted && this.#traffic;
    const obstacles = traffic === undefined ? [] : await firewall.obstacles(traffic, signal);
    const isSame = isDeepStrictEqual(obstacles, this.#obstacles);
    const parts = isSame ? 2 * this.#searchParts : LIMITS.firewallSearchParts;
    this.#searchParts = Math.min(parts, LIMITS.firewallIdleParts);
    this.#obstacles = obstacles;
    if (obstacles.length > 0) this.#obstacleSlot.fail(obstacles.join('; '));
    else if (this.#obstacleSlot.clear()) log.info('no foreign chain drops our packets any more');
  }
}
