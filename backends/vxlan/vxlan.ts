// vxlan: one device for all peers, and three entries a peer that leave the kernel nothing to look up.
//
//     packet to 10.5.34.9 ── route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink
//                         ── neigh 10.5.34.0 lladdr <the peer's MAC>
//                         ── fdb   <the peer's MAC> dst 192.168.77.2 ── UDP 8472 ──▶ the peer
//
// The device's MAC is computed from who the node is, so that a device made again has the one that peers know.
import { createHash } from 'node:crypto';
import { remember } from '../../agent/base/remember.ts';
import { v } from '../../agent/base/schema.ts';
import type { Backend } from '../../agent/model/backend.ts';
import type { HostFacts } from '../../agent/model/host-facts.ts';
import { type HostObject, type HostState, keyOf } from '../../agent/model/host-state.ts';
import { containsAddress, formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import type { Lease } from '../../agent/model/lease.ts';
import type { VxlanOptions } from './options.ts';

const TYPE = 'vxlan';

/** Ethernet 14, IPv4 20, UDP 8, VXLAN 8. */
const OVERHEAD_BYTES = 50;

// A MAC of all zeros or of a group would make the kernel flood; flannel announces neither.
const unicastMac = /^(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;
// The VNI is not looked at, as in flannel: all nodes have the one of the network configuration.
const announcement = v.object({
  VtepMAC: v.pipe(v.string(), v.toLowerCase(), v.regex(unicastMac)),
});

export function createVxlan(options: VxlanOptions): Backend {
  const dev = `flannel.${options.vni}`;
  const mtuBytes = (host: HostFacts): number =>
    (options.underlayMtuBytes ?? host.underlay.mtuBytes) - OVERHEAD_BYTES;

  const planPeer = (host: HostFacts, { subnet, attrs }: Lease): HostObject[] => {
    const dst = formatPrefix(subnet);
    if (
      options.directRouting &&
      host.underlay.onLink.some((prefix) => containsAddress(prefix, attrs.publicIP))
    ) {
      return [
        { kind: 'route', type: 'unicast', dst, via: attrs.publicIP, dev: host.underlay.name, onlink: false },
      ];
    }
    const announced = v.safeParse(announcement, attrs.backendData);
    if (!announced.success) return [];
    const mac = announced.output.VtepMAC;
    const address = subnet.address;
    return [
      { kind: 'neigh', address, mac, dev },
      { kind: 'fdb', mac, dst: attrs.publicIP, dev },
      { kind: 'route', type: 'unicast', dst, via: address, dev, onlink: true },
    ];
  };

  // A lease means the same as long as the host is the same: thousands of them are planned anew whenever one changes.
  const entriesOf = remember((host: HostFacts, peer: Lease) =>
    planPeer(host, peer).map((object) => [keyOf(object), object] as const),
  );

  return {
    type: TYPE,
    announce: (host) => ({ VNI: options.vni, VtepMAC: vtepMac(host, options.vni) }),
    mtuBytes,
    plan: ({ host, subnet, peers }) => [
      {
        kind: 'link',
        type: 'vxlan',
        name: dev,
        vni: options.vni,
        port: options.port,
        mtuBytes: mtuBytes(host),
        mac: vtepMac(host, options.vni),
        local: host.underlay.address,
        underlay: host.underlay.name,
        learning: options.learning,
        gbp: options.gbp,
        up: true,
      },
      // One address, so that the host itself has a source address in the overlay; /32, so that it makes no route.
      { kind: 'addr', prefix: formatPrefix(hostPrefix(subnet.address)), dev },
      ...onceEach(
        peers
          .filter(({ attrs }) => attrs.backendType === TYPE)
          .toSorted((a, b) => a.revision - b.revision)
          .map((peer) => entriesOf(host, peer)),
      ),
    ],
  };
}

// Two leases may name one MAC, such as that of a node that moved and its former one: the later one counts.
function onceEach(peers: readonly (readonly (readonly [string, HostObject])[])[]): HostState {
  const objects = new Map<string, HostObject>();
  for (const entries of peers) for (const [key, object] of entries) objects.set(key, object);
  return [...objects.values()];
}

/**
 * The MAC of this node's end of the tunnel. The public address is part of it: machines that were cloned with
 * their machine id still differ in it, and two ends with one MAC would take each other's packets.
 */
function vtepMac({ node, publicIP }: HostFacts, vni: number): string {
  const digest = createHash('sha256').update(`vtep\n${node.id}\n${publicIP}\n${vni}`).digest();
  // Locally administered, not a group address.
  const first = ((digest[0] ?? 0) & 0xfc) | 0x02;
  return [first, ...digest.subarray(1, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
