// Keeps an eye on the settings, addresses and routes of this host that stop the overlay's packets: turns forwarding on
// where it is off, unless the operator forbids that, and says what only the operator can mend. `host-verdict.ts`
// judges; here is the loop.
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { runTasks } from '../base/tasks.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import { ALL_LINKS, type HostChecks, type LocalBridge } from '../model/host-checks.ts';
import type { HostState } from '../model/host-state.ts';
import { formatPrefix, type Prefix, samePrefix } from '../model/ip.ts';
import type { Plane } from '../model/plane.ts';
import {
  type Carried,
  carriedBy,
  judgeAddresses,
  judgeForwarding,
  judgeRoutes,
  linksToOpen,
  ownBridges,
  sampleAddress,
  samplePeers,
  type Verdict,
} from './host-verdict.ts';
import { LIMITS } from './limits.ts';

export interface HostCheckerDeps {
  readonly checks: HostChecks;
  /** Whether links that do not forward are opened. */
  readonly opens: boolean;
  /** The network, whose addresses on this host are watched. */
  readonly network: Prefix;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The addresses and routes of the host as read last. */
interface Findings {
  readonly carried: Carried;
  readonly bridges: readonly LocalBridge[];
  /** On the addresses and the routes. */
  readonly verdicts: readonly Verdict[];
}

export class HostChecker {
  readonly #deps: HostCheckerDeps;
  readonly #bell;
  readonly #slot;
  /** Undefined: nothing is carried. */
  #wanted: { readonly plane: Plane; readonly state: () => HostState } | undefined;
  #stands = false;
  #findings: Findings | undefined;
  /** When they are read again at the latest. */
  #nextMs = 0;
  /** When each link was opened last. */
  readonly #openedMs = new Map<string, number>();
  /** The subnets of this node so far, the present one last. */
  #subnets: readonly Prefix[] = [];
  /** Warnings of the last look, each of which is in the log. */
  #warned: readonly string[] = [];

  constructor(deps: HostCheckerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#slot = createConditionSlot('host', deps.log, deps.clock);
  }

  /** Sets the plane whose packets the host must carry, and the source of its host state; undefined: none. */
  want(plane: Plane | undefined, state: () => HostState): void {
    if (plane === this.#wanted?.plane) return;
    this.#wanted = plane && { plane, state };
    if (plane === undefined) this.#findings = undefined;
    else this.#remember(plane.subnet);
    this.#bell.ring();
  }

  /** Whether the host has been looked at once since something was wanted. */
  get stands(): boolean {
    return this.#stands;
  }

  /** The bridges that hold containers of ours, as read last. */
  get bridges(): readonly LocalBridge[] {
    return this.#findings?.bridges ?? [];
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#slot);
  }

  /**
   * Looks at the host from time to time, and when its addresses change, until `signal` is aborted. Calls `onChange`
   * after the first look, and when there are other bridges. `last`: the subnet of the agent's last run.
   */
  async run(last: Prefix | undefined, onChange: () => void, signal: AbortSignal): Promise<void> {
    if (last !== undefined) this.#remember(last);
    await runTasks(signal, [(until) => this.#watch(until), (until) => this.#follow(onChange, until)]);
  }

  #remember(subnet: Prefix): void {
    const others = this.#subnets.filter((each) => !samePrefix(each, subnet));
    this.#subnets = [...others, subnet].slice(-LIMITS.knownSubnets);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { checks, network, log } = this.#deps;
    try {
      await checks.watchAddressesIn(network, () => this.#bell.ring(), signal);
    } catch (error) {
      log.info(`polling the addresses: ${messageOf(error)}`);
    }
  }

  async #follow(onChange: () => void, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    let told = '';
    let pauseToMs = 0;
    for (;;) {
      const why = await this.#bell.wait(signal, this.#wanted && LIMITS.hostCheckMs);
      if (this.#wanted === undefined) {
        this.#slot.clear();
        continue;
      }
      // A rate limit: other programs may change addresses all the time.
      if (why === 'rung') await clock.sleep(Math.max(0, pauseToMs - clock.monotonicMs()), signal);
      const startMs = clock.monotonicMs();
      const verdicts = await this.#look(why === 'rung');
      if (verdicts !== undefined && this.#wanted !== undefined) this.#tell(verdicts);
      const found = this.bridges.map(bridgeText).toSorted().join(' ');
      const nowMs = clock.monotonicMs();
      const longMs = (nowMs - startMs) * LIMITS.hostPauseLooks;
      pauseToMs = nowMs + Math.min(Math.max(LIMITS.hostCheckPauseMs, longMs), LIMITS.hostPauseMaxMs);
      if (!this.#stands || found !== told) {
        this.#stands = true;
        told = found;
        onChange();
      }
    }
  }

  /** Undefined: the host cannot be read now. */
  async #look(isNew: boolean): Promise<readonly Verdict[] | undefined> {
    try {
      const { carried, bridges, verdicts } = await this.#find(isNew);
      return [await this.#forward(carried, bridges), ...verdicts];
    } catch (error) {
      // That alone stops no packet.
      this.#deps.log.debug(messageOf(error));
      return undefined;
    }
  }

  // Other programs may have thousands of addresses: the more there are, the more rarely they are read, as long as
  // nothing is wrong.
  async #find(isNew: boolean): Promise<Findings> {
    const { checks, clock } = this.#deps;
    const now = clock.monotonicMs();
    const isOld = now >= this.#nextMs || this.#slot.current !== undefined;
    if (this.#findings !== undefined && !isNew && !isOld) return this.#findings;
    if (this.#wanted === undefined) throw new Error('nothing is carried');
    const { plane, state } = this.#wanted;
    const carried = carriedBy(plane, state(), this.#subnets.slice(0, -1));
    const sample = samplePeers(carried.peers);
    const { addresses, seen } = await checks.addressesIn(carried.network);
    const routes = sample.length === 0 ? [] : await checks.routesTowards(sample.map(sampleAddress));
    const verdicts = [judgeAddresses(carried, addresses), judgeRoutes(sample, routes)];
    this.#findings = { carried, bridges: ownBridges(carried, addresses), verdicts };
    this.#nextMs =
      now + LIMITS.hostCheckAllMs + Math.min(seen, LIMITS.countedAddresses) * LIMITS.hostCheckMsPerAddress;
    return this.#findings;
  }

  async #forward(carried: Carried, local: readonly LocalBridge[]): Promise<Verdict> {
    const { checks, opens, clock, log } = this.#deps;
    const names = new Set(local.map(({ name }) => name));
    const bridges = [...names].slice(0, LIMITS.checkedBridges);
    const links = [ALL_LINKS, ...carried.links, ...bridges];
    const reasons = new Map<string, string>();
    const closed = await checks.closedLinks(links);
    const opened = linksToOpen(closed);
    for (const link of opened) {
      if (!opens) {
        reasons.set(link, '--ip-forward=off leaves it so');
        continue;
      }
      const lastMs = this.#openedMs.get(link);
      const now = clock.monotonicMs();
      // A program that closes it again is not fought.
      if (lastMs !== undefined && now - lastMs < LIMITS.openAgainMs) {
        reasons.set(link, 'another program has set it to 0 again');
        continue;
      }
      try {
        await checks.open(link);
        this.#openedMs.set(link, now);
        log.warn(openedLine(link));
      } catch (error) {
        reasons.set(link, messageOf(error));
      }
    }
    return judgeForwarding(opened.length === 0 ? closed : await checks.closedLinks(links), bridges, reasons);
  }

  #tell(verdicts: readonly Verdict[]): void {
    const { log } = this.#deps;
    const faults = verdicts.flatMap((verdict) => verdict.faults);
    if (faults.length > 0) this.#slot.fail(faults.join('; '));
    else if (this.#slot.clear()) log.info('this host carries the packets of containers again');
    const warnings = verdicts.flatMap((verdict) => verdict.warnings).slice(0, LIMITS.hostWarnings);
    for (const warning of warnings) if (!this.#warned.includes(warning)) log.warn(warning);
    this.#warned = warnings;
  }
}

function bridgeText({ name, network }: LocalBridge): string {
  return `${name} ${formatPrefix(network)}`;
}

function openedLine(link: string): string {
  return link === ALL_LINKS
    ? 'set net.ipv4.ip_forward to 1: without it Linux forwards no packet of a container. Set it in /etc/sysctl.d too'
    : `set forwarding to 1 on ${link}: another program had set it to 0`;
}
