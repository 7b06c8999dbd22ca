// The one door to the `netlink` package. The package's index would load Wi-Fi, generic netlink and WireGuard too:
// 1.5 MiB and 30 ms of a start.
export {
  FlagsGet,
  MessageType,
  Protocol,
} from 'netlink/dist/constants.js';
export { createNetlink, type NetlinkSocket } from 'netlink/dist/netlink.js';
export { RawNetlinkSocket } from 'netlink/dist/raw.js';
export * as ifla from 'netlink/dist/rt/ifla.js';
export { createRtNetlink, type RtNetlinkSocket } from 'netlink/dist/rt/rt.js';
export * as rt from 'netlink/dist/rt/structs.js';
export { AttrStream, parseError, parseMessages } from 'netlink/dist/structs.js';
