// The host states of each backend, over the changes that nodes live through. Each state is text that a person can check
// against `ip`. The transition tests walk between all of them.

import type { JsonValue } from '../../agent/base/schema.ts';
import type { HostState } from '../../agent/model/host-state.ts';
import type { Lease } from '../../agent/model/lease.ts';
import { createPlanner } from '../../agent/node/planner.ts';
import { createBackend } from '../../backends/index.ts';
import { bgpFacts, hostFacts, lease, leaseAttrs, OVERLAYS, prefix } from './build.ts';

/** A peer's lease. */
export const peer = (subnet: string, publicIP: string, backendType: string, data?: JsonValue): Lease =>
  lease(subnet, leaseAttrs(publicIP, { backendType, ...(data === undefined ? {} : { data }) }));

export const vxlanPeer = (n: number, mac = `02:00:00:00:00:0${n}`, publicIP = `192.168.77.${n}`): Lease =>
  peer(`10.5.${n}.0/24`, publicIP, 'vxlan', { VNI: 1, VtepMAC: mac });

export const hostGwPeer = (n: number, publicIP = `192.168.77.${n}`): Lease =>
  peer(`10.5.${n}.0/24`, publicIP, 'host-gw');

/** The plan of a backend for this node, which has 10.5.1.0/24 of 10.5.0.0/16. Peers have subnets of any length. */
export async function plan(
  type: string,
  options: Record<string, JsonValue>,
  peers: readonly Lease[],
  facts = hostFacts(),
): Promise<HostState> {
  const planner = createPlanner({
    backend: await createBackend({ type, options }, 'test'),
    overlays: { ipv4: { ...OVERLAYS.ipv4, subnetLength: undefined } },
    blackholeRoute: false,
  });
  planner.plan(facts, { ipv4: prefix('10.5.1.0/24') }, peers);
  return planner.state();
}

/** All golden states by name. */
export async function goldenStates(): Promise<ReadonlyMap<string, HostState>> {
  const far = vxlanPeer(4, '02:00:00:00:00:04', '192.168.99.4');
  return new Map([
    ['nothing', []],
    [
      'host-gw, three peers',
      await plan(
        'host-gw',
        {},
        [2, 3, 4].map((n) => hostGwPeer(n)),
      ),
    ],
    [
      'host-gw, one moved, one gone',
      await plan('host-gw', {}, [hostGwPeer(2, '192.168.77.22'), hostGwPeer(3)]),
    ],
    ['vxlan, alone', await plan('vxlan', {}, [])],
    [
      'vxlan, three peers',
      await plan(
        'vxlan',
        {},
        [2, 3, 4].map((n) => vxlanPeer(n)),
      ),
    ],
    [
      'vxlan, one rebooted with another MAC, one gone',
      await plan('vxlan', {}, [vxlanPeer(2, '02:00:00:00:01:02'), vxlanPeer(3)]),
    ],
    [
      'vxlan, a peer moved',
      await plan('vxlan', {}, [vxlanPeer(2, '02:00:00:00:00:02', '192.168.77.22'), vxlanPeer(3)]),
    ],
    ['vxlan, smaller MTU', await plan('vxlan', { MTU: 1400 }, [vxlanPeer(2)])],
    [
      'vxlan, another MAC of our own',
      await plan('vxlan', {}, [vxlanPeer(2)], hostFacts({ nodeId: '00000000000000bb' })),
    ],
    ['vxlan, another VNI', await plan('vxlan', { VNI: 7 }, [vxlanPeer(2), vxlanPeer(3)])],
    ['vxlan, VNI 0', await plan('vxlan', { VNI: 0 }, [vxlanPeer(2)])],
    ['vxlan, another port', await plan('vxlan', { Port: 4789 }, [vxlanPeer(2), vxlanPeer(3)])],
    ['vxlan, learning and GBP', await plan('vxlan', { Learning: true, GBP: true }, [vxlanPeer(2)])],
    [
      'vxlan, direct routing',
      await plan('vxlan', { DirectRouting: true }, [vxlanPeer(2), vxlanPeer(3), far]),
    ],
    ['vxlan, our address on lo', await plan('vxlan', {}, [vxlanPeer(2)], bgpFacts())],
    ['udp', await plan('udp', {}, [peer('10.5.2.0/24', '192.168.77.2', 'udp')])],
    ['udp, smaller underlay', await plan('udp', {}, [], hostFacts({ mtuBytes: 1400 }))],
    ['vxlan among host-gw nodes', await plan('vxlan', {}, [vxlanPeer(2), hostGwPeer(3)])],
  ]);
}
