// dgram-native: Linux datagram sockets and TUN devices in batches. The whole of what the package gives.
export { createArena } from './arena.ts';
export type {
  Arena,
  PacketFile,
  Poller,
  Receiver,
  Sender,
  Tun,
  UdpSocket,
  Wakeup,
  WasmMemory,
} from './contract.ts';
export { errnoName, SystemError, UnsupportedError } from './errors.ts';
export { createPacketFile } from './packet-file.ts';
export { createPoller } from './poller.ts';
export { createReceiver, type ReceiverOptions } from './receiver.ts';
export { createSender, MAX_RUN_DATAGRAMS, type SenderOptions } from './sender.ts';
export { setSocketOption } from './socket-options.ts';
export { attachTun, deleteTun, openTun, type TunHandle, type TunOptions } from './tun.ts';
export {
  attachUdpSocket,
  openUdpSocket,
  type UdpSocketHandle,
  type UdpSocketOptions,
} from './udp-socket.ts';
export { attachWakeup, createWakeup } from './wakeup.ts';
