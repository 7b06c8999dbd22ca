// The codec of vxlan devices.

import { TwillError } from '../../base/errors.ts';
import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import type { VxlanLink } from '../../model/kinds/vxlan-link.ts';
import type { LinkCodec } from './codec.ts';
import { ifla, type RtNetlinkSocket } from './library.ts';
import { formatMac, parseMac } from './mac.ts';
import { newLink } from './new-link.ts';
import { BOUNDED, refusalOf } from './socket.ts';

export const vxlanCodec: LinkCodec<VxlanLink> = {
  parse({ base, attrs, data }, nameOf) {
    if (data === undefined) return undefined;
    const vxlan = ifla.parseVxlan(data);
    return {
      ...base,
      type: 'vxlan',
      vni: vxlan.id ?? 0,
      port: vxlan.port?.readUInt16BE(0) ?? 0,
      mac: formatMac(attrs.address),
      local: vxlan.local === undefined ? '' : addressFromBytes([...vxlan.local]),
      // A device that is bound to a link that is gone is no unbound one.
      underlay: vxlan.link === undefined ? undefined : (nameOf.get(vxlan.link) ?? ''),
      learning: vxlan.learning === 1,
      gbp: vxlan.gbp === true,
    };
  },
  async make(socket, link, underlay) {
    const port = Buffer.alloc(2);
    port.writeUInt16BE(link.port);
    const data = ifla.formatVxlan({
      id: link.vni,
      ...(link.underlay === undefined ? {} : { link: underlay }),
      local: Buffer.from(addressBytes(link.local)),
      port,
      learning: link.learning ? 1 : 0,
      // The inner packet has its own checksums; RFC 7348 wants a zero one outside.
      udpCsum: 0,
      ...(link.gbp ? { gbp: true } : {}),
    });
    try {
      await newLink(socket, link, data, { address: parseMac(link.mac) });
    } catch (error) {
      const why = await explain(socket, link, refusalOf(error));
      if (why === undefined) throw error;
      const details = { errno: refusalOf(error) ?? '', cause: error };
      throw new TwillError('host', `cannot add link ${link.name}: ${why}`, details);
    }
  },
};

/** The reason for a refusal that the kernel’s word for it does not name; undefined: its word says enough. */
async function explain(
  socket: RtNetlinkSocket,
  { name, vni, port }: VxlanLink,
  errno: string | undefined,
): Promise<string | undefined> {
  if (errno === 'ENOTSUP' || errno === 'EOPNOTSUPP') {
    return 'this kernel has no vxlan; load it with "modprobe vxlan", or configure another backend';
  }
  if (errno !== 'EEXIST' && errno !== 'EADDRINUSE') return undefined;
  const links = await socket.getLinks({}, {}, BOUNDED);
  if (links.some(({ attrs }) => attrs.ifname === name)) return undefined;
  const rival = links.find(({ attrs }) => {
    const info = attrs.linkinfo === undefined ? {} : ifla.parseInfo(attrs.linkinfo);
    const other = info.kind === 'vxlan' && info.data !== undefined ? ifla.parseVxlan(info.data) : {};
    // Devices share a port where they work alike. A device that takes its VNI from each packet shares it with none.
    return other.port?.readUInt16BE(0) === port && (errno === 'EADDRINUSE' || other.id === vni);
  });
  if (rival === undefined) {
    return errno === 'EEXIST'
      ? undefined
      : `another program has UDP port ${port} (see "ss -lunp"); stop it, or configure another Port`;
  }
  const [has, other] =
    errno === 'EEXIST' ? [`VNI ${vni} and port ${port}`, 'VNI'] : [`UDP port ${port}`, 'Port'];
  return `vxlan device ${rival.attrs.ifname} has ${has} too; delete it, or configure another ${other}`;
}
