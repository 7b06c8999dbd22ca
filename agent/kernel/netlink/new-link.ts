// Makes a link of a type that netlink can make.

import type { Link } from '../../model/host-state.ts';
import { AttrStream, type RtNetlinkSocket, type rt } from './library.ts';
import { BOUNDED, CREATE, EXCLUSIVE } from './socket.ts';

// include/uapi/linux/if_link.h
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;

/** Makes the link and sets it up. `data` holds the properties of its type, `attrs` those beside name and MTU. */
export async function newLink(
  socket: RtNetlinkSocket,
  { type, name, mtuBytes }: Link,
  data: Parameters<AttrStream['push']>[1],
  attrs: rt.LinkMessage['attrs'] = {},
): Promise<void> {
  const info = new AttrStream();
  info.push(IFLA_INFO_KIND, Buffer.from(`${type}\0`));
  info.push(IFLA_INFO_DATA, data);
  await socket.newLink(
    { flags: { up: true }, change: { up: true } },
    { ...attrs, ifname: name, mtu: mtuBytes, linkinfo: Buffer.concat(info.bufs) },
    { ...BOUNDED, flags: CREATE | EXCLUSIVE },
  );
}
