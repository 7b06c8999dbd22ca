// The table of faults. Tests inject each row once; `npm run bench -- faults` measures them.
import type { BedKind } from './bed.ts';
import type { Fault } from './fault.ts';
import type { BackendName } from './owned-state.ts';
import { AGENT_FAULTS } from './rows/agent-rows.ts';
import { CROWD_FAULTS } from './rows/crowd-rows.ts';
import { FIREWALL_FAULTS, FOREIGN_RULES } from './rows/firewall-rows.ts';
import { KERNEL_FAULTS } from './rows/kernel-rows.ts';
import { LEASE_FAULTS } from './rows/lease-rows.ts';
import { STORE_FAULTS } from './rows/store-rows.ts';
import { UNDERLAY_FAULTS } from './rows/underlay-rows.ts';

export const FAULTS: readonly Fault[] = [
  ...KERNEL_FAULTS,
  ...FIREWALL_FAULTS,
  ...FOREIGN_RULES,
  ...LEASE_FAULTS,
  ...AGENT_FAULTS,
  ...UNDERLAY_FAULTS,
  ...STORE_FAULTS,
  ...CROWD_FAULTS,
];

/** Rows that share a bed. */
export interface FaultGroup {
  readonly backend: BackendName;
  readonly kind: BedKind;
  readonly faults: readonly Fault[];
}

const BACKENDS: readonly BackendName[] = ['vxlan', 'host-gw', 'udp'];
const KINDS: readonly BedKind[] = ['usual', 'nftables', 'three etcds', 'large network'];

/** Groups rows by the bed that they need; no group is empty. */
export function groupFaults(faults: readonly Fault[]): FaultGroup[] {
  return BACKENDS.flatMap((backend) =>
    KINDS.map((kind) => ({
      backend,
      kind,
      faults: faults.filter((fault) => fault.backends.includes(backend) && (fault.bed ?? 'usual') === kind),
    })),
  ).filter((group) => group.faults.length > 0);
}
