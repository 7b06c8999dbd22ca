// What a node touches the world with, and what of its operator's wishes matters once that world is chosen. Each has a
// real form (`agent.ts`) and a simulated one, in which whole clusters live through hours in a moment.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import type { HandOff } from '../model/hand-off.ts';
import type { HostSource } from '../model/host-facts.ts';
import type { Kernel } from '../model/kernel.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { AgentOptions } from '../options.ts';

export interface NodeWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly store: LeaseStore;
  readonly kernel: Kernel;
  readonly hostSource: HostSource;
  readonly handOff: HandOff;
  /** The firewall that the network's configuration asks for. Fails as `host` where none is installed. */
  readonly openFirewall: (config: NetworkConfig, signal: AbortSignal) => Promise<NodeFirewall>;
  /** Calls `onChange` for each change of the firewall's rules, by anybody, until `signal` is aborted; fails where nobody tells. */
  readonly watchRuleset: (onChange: () => void, signal: AbortSignal) => Promise<void>;
  /** Called once, when containers can talk, with one line about what stands. */
  readonly onReady: (summary: string) => Promise<void>;
}

export type NodeOptions = Pick<
  AgentOptions,
  | 'renewMarginMinutes'
  | 'ipMasq'
  | 'randomFully'
  | 'forwardRules'
  | 'blackholeRoute'
  | 'firewallResyncSeconds'
>;
