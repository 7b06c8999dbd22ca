// dgram-native: Linux UDP sockets and TUN devices in batches. These are all exports of the package.
export { arenaBytes, createArena } from './arena.ts';
export type {
  Arena,
  Endpoints,
  PacketFile,
  Poller,
  Receiver,
  Sender,
  Tun,
  UdpSocket,
  Wakeup,
  WasmMemory,
} from './contract.ts';
export { createEndpoints, ENDPOINT_BYTES } from './endpoints.ts';
export { errnoName, SystemError, UnsupportedError } from './errors.ts';
export { createPacketFile, packetFileBytes } from './packet-file.ts';
export { createPoller, pollerBytes } from './poller.ts';
export { createReceiver, type ReceiverOptions, receiverBytes } from './receiver.ts';
export { createSender, MAX_RUN_BYTES, MAX_RUN_DATAGRAMS, type SenderOptions, senderBytes } from './sender.ts';
export { attachFilter, type FilterInstruction, getSocketOption, setSocketOption } from './socket-options.ts';
export { attachTun, deleteTun, openTun, type TunHandle, type TunOptions } from './tun.ts';
export {
  attachUdpSocket,
  openUdpSocket,
  type UdpSocketHandle,
  type UdpSocketOptions,
} from './udp-socket.ts';
export { sendUnixDatagram } from './unix-socket.ts';
export { attachWakeup, createWakeup } from './wakeup.ts';
