// A forwarder between a TUN device and a socket that are in memory: this node is 192.168.0.1 with 10.5.1.0/24, its
// peers are 192.168.0.2 with 10.5.2.0/24 and 192.168.0.3 with 10.5.3.0/24 in 10.5.0.0/16.
import { createArena } from 'dgram-native';
import {
  createMemoryFile,
  createMemoryPoller,
  createMemoryReceiver,
  createMemorySender,
  createMemorySocket,
  createMemoryTun,
  type Datagram,
  endpointBytes,
  type IncomingMessage,
  type MemoryPoller,
  type MemorySocket,
  type MemoryTun,
} from 'dgram-native/testing';
import {
  type CounterName,
  createCounterMemory,
  createCounters,
  readCounters,
} from '../../../../backends/udp/counters.ts';
import {
  createForwarder,
  FORWARDER_BYTES,
  FORWARDER_PARTS,
  type ForwarderConfig,
} from '../../../../backends/udp/forwarder.ts';
import { createPeerMemory, createPeerRoutes, writePeers } from '../../../../backends/udp/peer-routes.ts';
import { addressOf } from './packets.ts';

export const PEERS = [
  { subnet: addressOf('10.5.2.0'), length: 24, publicAddress: addressOf('192.168.0.2') },
  { subnet: addressOf('10.5.3.0'), length: 24, publicAddress: addressOf('192.168.0.3') },
] as const;

/** The settings of the node. */
export const CONFIG: ForwarderConfig = {
  port: 8285,
  network: { address: addressOf('10.5.0.0'), length: 16 },
  subnet: { address: addressOf('10.5.1.0'), length: 24 },
  tcpRuns: true,
  udpRuns: true,
};

export interface Bed {
  readonly tun: MemoryTun;
  readonly socket: MemorySocket;
  readonly poller: MemoryPoller;
  readonly peersMemory: SharedArrayBuffer;
  nowMs: number;
  /** Called each time the forwarder asks whether to stop. */
  beforeWait: () => void;
  /** Runs until nothing is left to move. */
  settle(): void;
  counters(): Record<CounterName, number>;
  /** Sends packets from the host and gives the datagrams that left. */
  fromHost(...packets: readonly Uint8Array[]): Datagram[];
  /** Receives datagrams of one sender, each by itself, and gives the packets that the TUN device was written. */
  fromPeer(sender: string, ...packets: readonly Uint8Array[]): Uint8Array[];
  /** The same as one message. All have one size, the last one may be shorter. */
  runFromPeer(sender: string, ...packets: readonly Uint8Array[]): Uint8Array[];
}

export const PLAIN = new Uint8Array(10);

/** A packet as a TUN device gives it when it is complete. */
export function plain(packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...PLAIN, ...packet]);
}

/** A message of a node with this public address. */
export function messageFrom(
  address: string,
  bytes: Uint8Array,
  segmentBytes = bytes.length,
  port = 8285,
): IncomingMessage {
  return { source: endpointBytes(address, port), bytes, segmentBytes };
}

export function createBed(options: Partial<ForwarderConfig> = {}, senderMessages = 64): Bed {
  const arena = createArena(FORWARDER_BYTES);
  const tun = createMemoryTun(arena);
  const socket = createMemorySocket(8285);
  const countersMemory = createCounterMemory();
  const peersMemory = createPeerMemory(8_192);
  writePeers(peersMemory, PEERS);
  let isIdle = false;
  const poller = createMemoryPoller([() => tun.waiting.length > 0, () => socket.waiting() > 0], () => {
    isIdle = true;
  });
  const forwarder = createForwarder({
    config: { ...CONFIG, ...options },
    arena,
    sender: createMemorySender(arena, socket, { ...FORWARDER_PARTS.sender, messages: senderMessages }),
    singleSender: createMemorySender(arena, socket, FORWARDER_PARTS.singleSender),
    receiver: createMemoryReceiver(arena, socket, FORWARDER_PARTS.receiver),
    socket,
    tun: createMemoryFile(arena, tun, 128),
    poller,
    wakeup: { clear: () => undefined },
    routes: createPeerRoutes(peersMemory),
    counters: createCounters(countersMemory),
    nowMs: () => bed.nowMs,
    shouldStop: () => {
      bed.beforeWait();
      return isIdle;
    },
  });
  const bed: Bed = {
    tun,
    socket,
    poller,
    peersMemory,
    nowMs: 1_000,
    beforeWait: () => undefined,
    settle() {
      isIdle = false;
      forwarder.run();
    },
    counters: () => readCounters(countersMemory),
    fromHost(...packets) {
      tun.waiting.push(...packets);
      bed.settle();
      return socket.take();
    },
    fromPeer(from, ...packets) {
      socket.offer(packets.map((bytes) => messageFrom(from, bytes)));
      bed.settle();
      return tun.take();
    },
    runFromPeer(from, ...packets) {
      const bytes = Uint8Array.from(packets.flatMap((packet) => [...packet]));
      socket.offer([messageFrom(from, bytes, packets[0]?.length)]);
      bed.settle();
      return tun.take();
    },
  };
  return bed;
}
