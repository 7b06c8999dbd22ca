// The host states that the backends make, over the changes that nodes live through. Each is text that a person
// can check against `ip`; the transition tests walk between all of them.

import type { JsonValue } from '../../agent/base/schema.ts';
import type { Backend } from '../../agent/model/backend.ts';
import type { HostFacts } from '../../agent/model/host-facts.ts';
import type { HostState } from '../../agent/model/host-state.ts';
import { type Prefix, parsePrefix } from '../../agent/model/ip.ts';
import type { Lease } from '../../agent/model/lease.ts';
import { createBackend } from '../../backends/index.ts';

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`);
  return parsed;
}

/** This node: 192.168.77.1 on eth0, subnet 10.5.1.0/24. */
export function host(changes: Partial<HostFacts['underlay']> & { readonly nodeId?: string } = {}): HostFacts {
  const { nodeId, ...underlay } = changes;
  return {
    node: { id: nodeId ?? '00000000000000aa', name: 'h1' },
    underlay: {
      name: 'eth0',
      index: 2,
      mtuBytes: 1500,
      address: '192.168.77.1',
      hasCarrier: true,
      onLink: [prefix('192.168.77.0/24')],
      ...underlay,
    },
    publicIP: '192.168.77.1',
  };
}

/** A peer's lease. */
export function peer(subnet: string, publicIP: string, backendType: string, backendData?: JsonValue): Lease {
  const attrs = {
    publicIP,
    publicIPv6: undefined,
    backendType,
    backendData,
    backendV6Data: undefined,
    node: undefined,
    extra: {},
  };
  return { subnet: prefix(subnet), ipv6Subnet: undefined, attrs, revision: 1, session: '1' };
}

export const vxlanPeer = (n: number, mac = `02:00:00:00:00:0${n}`, publicIP = `192.168.77.${n}`): Lease =>
  peer(`10.5.${n}.0/24`, publicIP, 'vxlan', { VNI: 1, VtepMAC: mac });

export const hostGwPeer = (n: number, publicIP = `192.168.77.${n}`): Lease =>
  peer(`10.5.${n}.0/24`, publicIP, 'host-gw');

/** The plan of a backend for this node. */
export async function plan(
  type: string,
  options: Record<string, JsonValue>,
  peers: readonly Lease[],
  facts = host(),
): Promise<HostState> {
  const backend: Backend = await createBackend({ type, options }, 'test');
  return backend.plan({ host: facts, network: prefix('10.5.0.0/16'), subnet: prefix('10.5.1.0/24'), peers });
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
      await plan('vxlan', {}, [vxlanPeer(2)], host({ nodeId: '00000000000000bb' })),
    ],
    ['vxlan, another VNI', await plan('vxlan', { VNI: 7 }, [vxlanPeer(2), vxlanPeer(3)])],
    ['vxlan, another port', await plan('vxlan', { Port: 4789 }, [vxlanPeer(2), vxlanPeer(3)])],
    ['vxlan, learning and GBP', await plan('vxlan', { Learning: true, GBP: true }, [vxlanPeer(2)])],
    [
      'vxlan, direct routing',
      await plan('vxlan', { DirectRouting: true }, [vxlanPeer(2), vxlanPeer(3), far]),
    ],
    ['udp', await plan('udp', {}, [peer('10.5.2.0/24', '192.168.77.2', 'udp')])],
    ['udp, smaller underlay', await plan('udp', {}, [], host({ mtuBytes: 1400 }))],
    ['vxlan among host-gw nodes', await plan('vxlan', {}, [vxlanPeer(2), hostGwPeer(3)])],
  ]);
}
