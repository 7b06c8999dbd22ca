// The codec of vxlan devices.

import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import type { VxlanLink } from '../../model/kinds/vxlan-link.ts';
import type { LinkCodec } from './codec.ts';
import { ifla } from './library.ts';
import { formatMac, parseMac } from './mac.ts';
import { newLink } from './new-link.ts';

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
  make(socket, link, underlay) {
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
    return newLink(socket, link, data, { address: parseMac(link.mac) });
  },
};
