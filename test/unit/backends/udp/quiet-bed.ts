// A forwarder as in the other tests' bed, whose socket and device keep nothing of what moves: for tests that move
// millions of packets, or measure the memory that the forwarder itself allocates.
import { createArena } from 'dgram-native';
import {
  createMemoryFile,
  createMemoryPoller,
  createMemoryReceiver,
  createMemorySender,
  createMemorySocket,
  type IncomingMessage,
  type Pieces,
} from 'dgram-native/testing';
import { createCounterMemory, createCounters, readCounters } from '../../../../backends/udp/counters.ts';
import { createForwarder, FORWARDER_BYTES, FORWARDER_PARTS } from '../../../../backends/udp/forwarder.ts';
import { createPeerMemory, createPeerRoutes, writePeers } from '../../../../backends/udp/peer-routes.ts';
import { CONFIG, PEERS } from './bed.ts';

export interface QuietBed {
  readonly u8: Uint8Array;
  /** The packet that the device gives, and how many times more. */
  packet: Uint8Array;
  waiting: number;
  /** Called with the pieces of each packet that the device is written. */
  onWrite: (pieces: Pieces) => void;
  offer(messages: readonly IncomingMessage[]): void;
  /** The offered message, by its position, that these bytes of the arena belong to; -1: none. */
  messageAt(offset: number, length: number): number;
  counters(): ReturnType<typeof readCounters>;
  /** Runs until nothing is left to move. */
  settle(): void;
}

export function createQuietBed(): QuietBed {
  const arena = createArena(FORWARDER_BYTES);
  const socket = createMemorySocket(CONFIG.port);
  socket.send = () => 0;
  const receiver = createMemoryReceiver(arena, socket, FORWARDER_PARTS.receiver);
  // Of the offered messages the first that was received last, and the number received with it.
  let first = 0;
  let count = 0;
  const countersMemory = createCounterMemory();
  const peers = createPeerMemory(16);
  writePeers(peers, PEERS);
  let isIdle = false;
  const device = {
    read(offset: number): number {
      if (bed.waiting === 0) return 0;
      bed.waiting--;
      arena.u8.set(bed.packet, offset);
      return bed.packet.length;
    },
    write(pieces: Pieces): number {
      bed.onWrite(pieces);
      return 1;
    },
  };
  const forwarder = createForwarder({
    config: CONFIG,
    arena,
    sender: createMemorySender(arena, socket, FORWARDER_PARTS.sender),
    singleSender: createMemorySender(arena, socket, FORWARDER_PARTS.singleSender),
    receiver: {
      ...receiver,
      receive(most) {
        first += count;
        count = receiver.receive(most);
        return count;
      },
    },
    socket,
    tun: createMemoryFile(arena, device, FORWARDER_PARTS.filePieces),
    poller: createMemoryPoller([() => bed.waiting > 0, () => socket.waiting() > 0], () => {
      isIdle = true;
    }),
    wakeup: { clear: () => undefined },
    routes: createPeerRoutes(peers),
    counters: createCounters(countersMemory),
    nowMs: () => 0,
    shouldStop: () => isIdle,
  });
  const bed: QuietBed = {
    u8: arena.u8,
    packet: new Uint8Array(0),
    waiting: 0,
    onWrite: () => undefined,
    offer(messages) {
      first = 0;
      count = 0;
      socket.offer(messages);
    },
    messageAt(offset, length) {
      for (let i = 0; i < count; i++) {
        const from = offset - receiver.offset(i);
        if (from >= 0 && from + length <= receiver.length(i)) return first + i;
      }
      return -1;
    },
    counters: () => readCounters(countersMemory),
    settle() {
      isIdle = false;
      forwarder.run();
    },
  };
  return bed;
}
