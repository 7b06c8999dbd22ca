// Everything that a node does I/O through. `agent.ts` supplies the real world, `test/simulation` a simulated one.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { ConfigSource } from '../model/config-source.ts';
import type { DataPlaneMemory } from '../model/data-plane-memory.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import type { HandOff } from '../model/hand-off.ts';
import type { HostChecks } from '../model/host-checks.ts';
import type { HostSource } from '../model/host-facts.ts';
import type { Kernel } from '../model/kernel.ts';
import type { HolderInput, LeaseHolder } from '../model/lease-holder.ts';
import type { LeaseSource } from '../model/lease-source.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { RulesetChange } from '../model/ruleset.ts';
import type { TunnelFilter } from '../model/tunnel-filter.ts';

export interface NodeWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly leaseSource: LeaseSource;
  readonly configSource: ConfigSource;
  /** The holder of this node's lease. */
  readonly createHolder: (input: HolderInput) => LeaseHolder;
  readonly kernel: Kernel;
  readonly hostSource: HostSource;
  readonly hostChecks: HostChecks;
  readonly handOff: HandOff;
  readonly dataPlaneMemory: DataPlaneMemory;
  /** The firewall that the network's configuration asks for. Fails as `host` where none is installed. */
  readonly openFirewall: (config: NetworkConfig, signal: AbortSignal) => Promise<NodeFirewall>;
  readonly tunnelFilter: TunnelFilter;
  /**
   * Calls `onChange` for each change of any firewall rules, until `signal` is aborted. Calls it without a change once
   * it watches, and after changes that it missed. Fails where the kernel reports none.
   */
  readonly watchRuleset: (onChange: (change?: RulesetChange) => void, signal: AbortSignal) => Promise<void>;
  /** Called once, when containers can talk, with a summary in one line. */
  readonly onReady: (summary: string) => Promise<void>;
  /** Called at each event while the network is large: the agent saves time rather than memory then. */
  readonly onLarge: () => void;
}
