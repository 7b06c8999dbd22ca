// A planner with some leases, for the tests of leases that claim one thing.
import { expect } from 'vitest';
import { formatHostState } from '../../../agent/model/host-state.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { Overlay } from '../../../agent/model/plane.ts';
import { createPlanner, type Planner } from '../../../agent/node/planner.ts';
import { createBackend } from '../../../backends/index.ts';
import { hostFacts, OVERLAYS, prefix } from '../../support/build.ts';
import { vxlanPeer } from '../../support/golden-states.ts';

export const SUBNETS = { ipv4: prefix('10.5.1.0/24') };
export const FACTS = hostFacts();
export const MAC = '02:00:00:00:00:aa';

/** A lease of vxlan in 10.5.N.0/24, created at the revision `created`. */
export const at = (n: number, created: number, mac: string, publicIP = `192.168.77.${n}`): Lease => ({
  ...vxlanPeer(n, mac, publicIP),
  created,
});

export interface Bed {
  readonly planner: Planner;
  /** Writes a lease. */
  readonly put: (lease: Lease) => void;
  readonly drop: (lease: Lease) => void;
  /** The numbers of the subnets with a route, sorted. */
  readonly routes: () => string;
  /** The host that frames to `MAC` go to. */
  readonly owner: () => string | undefined;
  readonly reasons: () => string[];
  /** All leases are listed anew. */
  readonly list: (facts?: typeof FACTS) => void;
}

export async function bed(
  type: string,
  leases: readonly Lease[],
  network: Overlay = OVERLAYS.ipv4,
): Promise<Bed> {
  const planner = createPlanner({
    backend: await createBackend({ type, options: {} }, 'test'),
    overlays: { ipv4: network },
    blackholeRoute: false,
  });
  const known = new Map(leases.map((lease) => [lease.key, lease]));
  let present = FACTS;
  planner.plan(present, SUBNETS, known.values());
  const text = (): string => formatHostState(planner.state());
  return {
    planner,
    put(lease) {
      known.set(lease.key, lease);
      planner.update(lease.key, lease);
      if (planner.planes.length > 0) planner.plan(present, SUBNETS, known.values());
      checkAddresses(planner);
    },
    drop({ key }) {
      known.delete(key);
      planner.update(key, undefined);
      checkAddresses(planner);
    },
    routes: () =>
      [...text().matchAll(/^route 10\.\d+\.(\d+)\./gm)]
        .map(([, n = '']) => n)
        .sort()
        .join(' '),
    owner: () => new RegExp(`fdb ${MAC} dst (\\S+)`).exec(text())?.[1],
    reasons: () => planner.conditions().map(({ peer: { subnet }, reason }) => `${subnet}: ${reason}`),
    list(facts = FACTS) {
      present = facts;
      planner.invalidate();
      planner.plan(facts, SUBNETS, known.values());
      checkAddresses(planner);
    },
  };
}

// The addresses are kept as leases come and go. They are those of the peers at any time. Without
// planes the last ones are remembered.
function checkAddresses(planner: Planner): void {
  if (planner.planes.length === 0) return;
  const peers = planner.planes.flatMap((plane) => planner.peers(plane));
  const found = new Set(peers.map(({ publicIP }) => publicIP));
  expect([...planner.publicAddresses].sort()).toEqual([...found].sort());
}
