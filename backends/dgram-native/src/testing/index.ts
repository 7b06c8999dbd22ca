// dgram-native/testing: a kernel in memory for the tests of programs that use dgram-native. The doubles keep the
// contract as strictly as the real thing: one suite holds both. They need no privilege and no network, and allocate
// nothing beyond what the functions of their sockets and devices do.
export { createMemoryFile, createMemoryTun, type MemoryDevice, type MemoryTun } from './memory-file.ts';
export { createMemoryPoller, type MemoryPoller } from './memory-poller.ts';
export { createMemoryReceiver } from './memory-receiver.ts';
export { createMemorySender } from './memory-sender.ts';
export {
  createMemorySocket,
  type Datagram,
  endpointBytes,
  type IncomingMessage,
  type MemorySocket,
  type OutgoingMessage,
} from './memory-socket.ts';
export type { Pieces } from './pieces.ts';
