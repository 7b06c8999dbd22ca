// A node's state and the report of it, for tests of the status.
import { readFileSync } from 'node:fs';
import type { PeerCondition } from '../../agent/model/condition.ts';
import type { Lease } from '../../agent/model/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../agent/model/network-config.ts';
import type { NodeState } from '../../agent/model/status.ts';
import type { StatusReport } from '../../agent/model/status-report.ts';
import { type StatusInput, statusReport } from '../../agent/observe/status-report.ts';
import { createVxlan } from '../../backends/vxlan/vxlan.ts';
import { hostFacts, lease, leaseAttrs, prefix } from './build.ts';
import { schemaFaults } from './json-schema.ts';

const SCHEMA = new URL('../../deploy/status/twill.status-1.schema.json', import.meta.url);

/** What is wrong with a report by the schema of the repository, a line each. */
export function statusFaults(value: unknown): readonly string[] {
  return schemaFaults(JSON.parse(readFileSync(SCHEMA, 'utf8')) as Record<string, unknown>, value);
}

/** Two hours and some seconds after its start. */
export const NOW_MS = 7_265_000;

/** A lease of the node `hN` at 192.168.77.N, or 192.168.78.N-255. */
export function peerLease(n: number, name = `h${n}`, backendType = 'vxlan'): Lease {
  const address = n < 255 ? `192.168.77.${n}` : `192.168.78.${n - 254}`;
  const node = { id: n.toString(16).padStart(16, '0'), mac: undefined, name };
  return lease(
    n < 255 ? `10.5.${n}.0/24` : `10.6.${n - 254}.0/24`,
    leaseAttrs(address, { node, backendType }),
  );
}

/** The fault of the node of `peerLease(n)`. */
export function peerFault(n: number, reason: string, part = 'network'): PeerCondition {
  const { attrs } = peerLease(n);
  const subnet = n < 255 ? `10.5.${n}.0/24` : `10.6.${n - 254}.0/24`;
  const peer = { subnet, publicIP: attrs.publicIP.ipv4 ?? '', name: `h${n}` };
  return { part, state: 'failing', reason, sinceMs: NOW_MS - 240_000, peer };
}

/** A ready node, 192.168.77.1 with 10.5.1.0/24. */
export function nodeState(changes: Partial<NodeState> = {}): NodeState {
  const config: NetworkConfig = parseNetworkConfig('{"Network":"10.5.0.0/16"}', 'config');
  return {
    conditions: [],
    peerConditions: [],
    host: hostFacts(),
    config,
    backend: createVxlan({
      vni: 1,
      port: 8472,
      gbp: false,
      learning: false,
      directRouting: false,
      underlayMtuBytes: undefined,
    }),
    subnets: { ipv4: prefix('10.5.1.0/24') },
    term: { kind: 'leased', expiresMs: NOW_MS + 83_520_000 },
    leases: [peerLease(1)],
    store: { isConnected: true, heardMs: NOW_MS - 4_000 },
    kernel: {
      objects: 149,
      device: 'flannel.1',
      repaired: 3,
      repairs: [
        { atMs: 5_000, change: '+ route 10.5.90.0/24 via 10.5.90.0 dev flannel.1 onlink' },
        { atMs: 65_000, change: '+ route 10.5.91.0/24 via 10.5.91.0 dev flannel.1 onlink' },
      ],
    },
    firewall: { mode: 'nftables', stands: true, obstacles: [] },
    ...changes,
  };
}

export function statusInput(state: NodeState): StatusInput {
  const clock = { monotonicMs: () => NOW_MS, wallMs: () => Date.UTC(2026, 10, 30, 12) };
  return { state, version: '0.1.0', storeKind: 'etcd', startedMs: 0, readySinceMs: 5_000, clock };
}

export function reportOf(changes: Partial<NodeState> = {}): StatusReport {
  return statusReport(statusInput(nodeState(changes)));
}
