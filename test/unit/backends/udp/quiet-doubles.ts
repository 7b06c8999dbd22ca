// The contract again, in memory and without taking any: for tests that move millions of packets, or look at what the
// forwarder itself allocates. What moves is counted, not kept.
import type { Arena, PacketFile, Poller, Receiver, Sender } from 'dgram-native';
import { createCounterMemory, createCounters, readCounters } from '../../../../backends/udp/counters.ts';
import { createForwarder, FORWARDER_BYTES } from '../../../../backends/udp/forwarder.ts';
import { createPeerMemory, createPeerRoutes, writePeers } from '../../../../backends/udp/peer-routes.ts';
import { PEERS } from './bed.ts';
import { createFakeArena } from './doubles.ts';
import { addressOf } from './packets.ts';

const MESSAGES = 8;

/** Gives the messages that were written into its rooms, and offered, once. */
export class QuietReceiver implements Receiver {
  readonly rooms: Int32Array;
  readonly lengths = new Int32Array(MESSAGES);
  readonly segments = new Int32Array(MESSAGES);
  readonly senders = new Int32Array(MESSAGES);
  waiting = 0;
  // Rooms of the messages that were given last, and that are given next.
  #first = 0;
  #next = 0;

  constructor(arena: Arena) {
    this.rooms = Int32Array.from({ length: MESSAGES }, () => arena.reserve(65_536));
  }

  /** The first `count` rooms have a message. */
  offer(count: number): void {
    this.waiting = count;
    this.#next = 0;
  }

  receive(most = MESSAGES): number {
    const count = Math.min(most, this.waiting);
    this.#first = this.#next;
    this.#next += count;
    this.waiting -= count;
    return count;
  }

  offset(i: number): number {
    return this.rooms[this.#first + i] as number;
  }

  length(i: number): number {
    return this.lengths[this.#first + i] as number;
  }

  segmentBytes(i: number): number {
    return this.segments[this.#first + i] as number;
  }

  sourceAddress(i: number): number {
    return this.senders[this.#first + i] as number;
  }

  sourcePort(): number {
    return 8285;
  }

  isTruncated(): boolean {
    return false;
  }
}

export class QuietSender implements Sender {
  messages = 0;
  #pieces = 0;
  #written = 0;

  freeMessages(): number {
    return 256 - this.#written;
  }

  freePieces(): number {
    return 1_024 - this.#pieces;
  }

  begin(): void {
    this.#written++;
  }

  append(): void {
    this.#pieces++;
  }

  flush(): number {
    this.messages += this.#written;
    this.#written = 0;
    this.#pieces = 0;
    return 0;
  }

  refusedErrno(): number {
    return 0;
  }

  refusedMessage(): number {
    return 0;
  }
}

/** Gives one packet again and again, as long as `waiting` says; `onWrite` sees the pieces of what is written. */
export class QuietTun implements PacketFile {
  packet = new Uint8Array(0);
  waiting = 0;
  writes = 0;
  readonly offsets = new Int32Array(1_024);
  readonly lengths = new Int32Array(1_024);
  pieces = 0;
  onWrite: () => void = () => undefined;
  readonly #u8: Uint8Array;

  constructor(u8: Uint8Array) {
    this.#u8 = u8;
  }

  freePieces(): number {
    return 1_024 - this.pieces;
  }

  read(offset: number): number {
    if (this.waiting === 0) return 0;
    this.waiting--;
    this.#u8.set(this.packet, offset);
    return this.packet.length;
  }

  clear(): void {
    this.pieces = 0;
  }

  append(offset: number, length: number): void {
    this.offsets[this.pieces] = offset;
    this.lengths[this.pieces] = length;
    this.pieces++;
  }

  write(): number {
    this.writes++;
    this.onWrite();
    this.pieces = 0;
    return 1;
  }
}

class QuietPoller implements Poller {
  readonly failed = 0;
  isIdle = false;
  readonly #tun: QuietTun;
  readonly #receiver: QuietReceiver;

  constructor(tun: QuietTun, receiver: QuietReceiver) {
    this.#tun = tun;
    this.#receiver = receiver;
  }

  wait(): number {
    const ready = (this.#tun.waiting > 0 ? 1 : 0) | (this.#receiver.waiting > 0 ? 2 : 0);
    this.isIdle = ready === 0;
    return ready;
  }
}

/** A forwarder with the peers of the other tests' bed, between quiet doubles. */
export function createQuietBed() {
  const arena = createFakeArena(FORWARDER_BYTES + MESSAGES * 65_536 + 65_536);
  const receiver = new QuietReceiver(arena);
  const sender = new QuietSender();
  const tun = new QuietTun(arena.u8);
  const poller = new QuietPoller(tun, receiver);
  const countersMemory = createCounterMemory();
  const peers = createPeerMemory(16);
  writePeers(peers, PEERS);
  const forwarder = createForwarder({
    config: {
      port: 8285,
      network: { address: addressOf('10.5.0.0'), length: 16 },
      subnet: { address: addressOf('10.5.1.0'), length: 24 },
      tunnelAddress: addressOf('10.5.1.0'),
      tcpRuns: true,
      udpRuns: true,
    },
    arena,
    sender,
    receiver,
    receiverMessages: MESSAGES,
    socket: { canSegment: true, pathPayloadBytes: () => undefined },
    tun,
    poller,
    wakeup: { clear: () => undefined },
    routes: createPeerRoutes(peers),
    counters: createCounters(countersMemory),
    nowMs: () => 0,
    shouldStop: () => poller.isIdle,
  });
  return {
    arena,
    receiver,
    sender,
    tun,
    counters: () => readCounters(countersMemory),
    settle() {
      poller.isIdle = false;
      forwarder.run();
    },
  };
}
