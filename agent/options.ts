// What the agent was asked to do, after flags and environment have been read and checked.
import type { LogLevel } from './base/log.ts';
import type { DatastoreOptions } from './model/datastore-options.ts';

export interface AgentOptions {
  readonly datastore: DatastoreOptions;
  /** Names or addresses of the underlay interface, in order of preference; empty: decide by the default route. */
  readonly iface: readonly string[];
  /** Regular expressions tried, after `iface`, against names first and then addresses. */
  readonly ifaceRegex: readonly RegExp[];
  /** An address: take the interface that a packet to it would leave by. */
  readonly ifaceCanReach: string | undefined;
  /** The address announced to peers; undefined: the underlay's own. */
  readonly publicIP: string | undefined;
  readonly subnetFile: string;
  /** A lease is renewed when this many minutes of it are left, 1 to 1439. */
  readonly renewMarginMinutes: number;
  readonly ipMasq: boolean;
  /** Masquerade with random source ports where supported. */
  readonly randomFully: boolean;
  /** Accept forwarded overlay packets. */
  readonly forwardRules: boolean;
  /** Drop packets to addresses of our own subnet that no container has. */
  readonly blackholeRoute: boolean;
  /** Seconds between checks of the firewall rules. */
  readonly firewallResyncSeconds: number;
  /** Undefined: no HTTP server. */
  readonly healthz: { readonly ip: string; readonly port: number } | undefined;
  readonly logLevel: LogLevel;
}
