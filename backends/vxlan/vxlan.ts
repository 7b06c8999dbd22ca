// vxlan: one device for all peers, and three entries a peer, so that the kernel asks for no address.
//
//     packet to 10.5.34.9 ── route 10.5.34.0/24 via 10.5.34.0 dev flannel.1 onlink
//                         ── neigh 10.5.34.0 lladdr <the peer's MAC>
//                         ── fdb   <the peer's MAC> dst 192.168.77.2 ── UDP 8472 ──▶ the peer
//
// The device's MAC is the one that peers know, where the node knows of one. Else it is a digest of the node's identity:
// a device that is made again has the same.
import { createHash } from 'node:crypto';
import type { JsonValue } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';
import type { Backend } from '../../agent/model/backend.ts';
import { linkTo, type UnderlayEnd, type UnderlayLink } from '../../agent/model/host-facts.ts';
import { formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import { type VxlanLink, vxlanName } from '../../agent/model/kinds/vxlan-link.ts';
import type { NodeIdentity } from '../../agent/model/lease.ts';
import type { Plane } from '../../agent/model/plane.ts';
import type { VxlanOptions } from './options.ts';

/** Ethernet 14, IPv4 20, UDP 8, VXLAN 8. */
const OVERHEAD_BYTES = 50;

// A MAC of all zeros or of a group would make the kernel flood; flannel announces neither.
const unicastMac = /^(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;
const announcement = v.object({
  VtepMAC: v.pipe(v.string(), v.toLowerCase(), v.regex(unicastMac)),
});

export function createVxlan(options: VxlanOptions): Backend {
  const dev = vxlanName(options.vni);
  // The kernel refuses a device that is larger than its underlay.
  const mtuBytes = (underlay: UnderlayLink): number =>
    Math.min(options.underlayMtuBytes ?? underlay.mtuBytes, underlay.mtuBytes) - OVERHEAD_BYTES;
  const link = (plane: Plane): VxlanLink => ({
    kind: 'link',
    type: 'vxlan',
    name: dev,
    vni: options.vni,
    port: options.port,
    mtuBytes: mtuBytes(plane.underlay),
    mac: vtepMac(plane.node, plane.end, options.vni),
    local: plane.end.address,
    // Bound to a link that only holds the address, the device would send nothing.
    underlay: plane.underlay.carriesPackets ? plane.underlay.name : undefined,
    learning: options.learning,
    gbp: options.gbp,
    up: true,
  });

  return {
    type: 'vxlan',
    tunnel: { port: options.port, device: { name: dev, vni: options.vni } },
    announce: (node, end) => ({ VNI: options.vni, VtepMAC: vtepMac(node, end, options.vni) }),
    mtuBytes,
    own: (_underlay, planes) =>
      planes.flatMap((plane) => [
        link(plane),
        // One address, so that the host itself has a source address in the overlay; /32, so that it makes no route.
        { kind: 'addr', prefix: formatPrefix(hostPrefix(plane.subnet.address)), dev },
      ]),
    peer({ end }, { subnet, publicIP, data }) {
      const dst = formatPrefix(subnet);
      const onLink = options.directRouting ? linkTo(end, publicIP) : undefined;
      if (onLink !== undefined) {
        return [{ kind: 'route', type: 'unicast', dst, via: publicIP, dev: onLink, onlink: false }];
      }
      const mac = parseVtepMac(data);
      if (mac === undefined) return undefined;
      const { address } = subnet;
      return [
        { kind: 'neigh', address, mac, dev },
        { kind: 'fdb', mac, dst: publicIP, dev },
        { kind: 'route', type: 'unicast', dst, via: address, dev, onlink: true },
      ];
    },
  };
}

// The announced VNI is ignored, as in flannel: all nodes have the VNI of the network configuration.
function parseVtepMac(data: JsonValue | undefined): string | undefined {
  const announced = v.safeParse(announcement, data);
  return announced.success ? announced.output.VtepMAC : undefined;
}

/**
 * The MAC of this node's end of the tunnel. The public address is part of it: machines that were cloned with
 * their machine id still differ in it, and two ends with one MAC would take each other's packets.
 */
function vtepMac(node: NodeIdentity, { publicIP, knownMac }: UnderlayEnd, vni: number): string {
  if (knownMac !== undefined) return knownMac;
  const digest = createHash('sha256').update(`vtep\n${node.id}\n${publicIP}\n${vni}`).digest();
  // Locally administered, not a group address.
  const first = ((digest[0] ?? 0) & 0xfc) | 0x02;
  return [first, ...digest.subarray(1, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
