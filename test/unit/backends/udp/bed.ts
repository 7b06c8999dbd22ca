// A forwarder between a TUN device and a socket that are in memory: this node is 192.168.0.1 with 10.5.1.0/24, its
// peers are 192.168.0.2 with 10.5.2.0/24 and 192.168.0.3 with 10.5.3.0/24 in 10.5.0.0/16.
import {
  type CounterName,
  createCounterMemory,
  createCounters,
  readCounters,
} from '../../../../backends/udp/counters.ts';
import {
  createForwarder,
  FORWARDER_BYTES,
  type ForwarderConfig,
} from '../../../../backends/udp/forwarder.ts';
import { createPeerMemory, createPeerRoutes, writePeers } from '../../../../backends/udp/peer-routes.ts';
import { createFakeArena, type Datagram, FakePoller, FakeReceiver, FakeSender, FakeTun } from './doubles.ts';
import { addressOf } from './packets.ts';

export const PEERS = [
  { subnet: addressOf('10.5.2.0'), length: 24, publicAddress: addressOf('192.168.0.2') },
  { subnet: addressOf('10.5.3.0'), length: 24, publicAddress: addressOf('192.168.0.3') },
] as const;

export interface Bed {
  readonly tun: FakeTun;
  readonly sender: FakeSender;
  readonly receiver: FakeReceiver;
  readonly poller: FakePoller;
  readonly peersMemory: SharedArrayBuffer;
  /** What the kernel knows of paths. */
  readonly paths: Map<number, number>;
  readonly socket: { canSegment: boolean };
  nowMs: number;
  /** Called at each look around. */
  beforeWait: () => void;
  /** Runs until nothing is left to move. */
  settle(): void;
  counters(): Record<CounterName, number>;
  /** Sends packets from the host and gives the datagrams that left. */
  fromHost(...packets: readonly Uint8Array[]): Datagram[];
  /** Receives datagrams of one sender, each by itself, and gives what the TUN device was written. */
  fromPeer(sender: string, ...packets: readonly Uint8Array[]): Uint8Array[];
  /** The same as one message. All have one size, the last one may be shorter. */
  runFromPeer(sender: string, ...packets: readonly Uint8Array[]): Uint8Array[];
}

export const PLAIN = new Uint8Array(10);

/** A packet as a TUN device gives it when it is complete. */
export function plain(packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...PLAIN, ...packet]);
}

export function createBed(
  options: Partial<Pick<ForwarderConfig, 'tcpRuns' | 'udpRuns' | 'subnet' | 'network'>> = {},
  senderMessages = 64,
): Bed {
  const arena = createFakeArena(FORWARDER_BYTES + 8 * 65_536 + 65_536);
  const tun = new FakeTun(arena.u8);
  const sender = new FakeSender(arena.u8, { messages: senderMessages, pieces: 1_024 });
  const receiver = new FakeReceiver(arena, 8);
  const countersMemory = createCounterMemory();
  const peersMemory = createPeerMemory(8_192);
  writePeers(peersMemory, PEERS);
  const paths = new Map<number, number>();
  const socket = { canSegment: true };
  let isIdle = false;
  const poller = new FakePoller(tun, receiver, () => {
    isIdle = true;
  });
  const forwarder = createForwarder({
    config: {
      port: 8285,
      network: { address: addressOf('10.5.0.0'), length: 16 },
      subnet: { address: addressOf('10.5.1.0'), length: 24 },
      tunnelAddress: addressOf('10.5.1.0'),
      tcpRuns: true,
      udpRuns: true,
      ...options,
    },
    arena,
    sender,
    receiver,
    receiverMessages: 8,
    socket: {
      get canSegment() {
        return socket.canSegment;
      },
      pathPayloadBytes: (address) => paths.get(address | 0),
    },
    tun,
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
    sender,
    receiver,
    poller,
    peersMemory,
    paths,
    socket,
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
      return sender.take();
    },
    fromPeer(from, ...packets) {
      const address = addressOf(from);
      receiver.waiting.push(...packets.map((bytes) => ({ address, segmentBytes: bytes.length, bytes })));
      bed.settle();
      return tun.take();
    },
    runFromPeer(from, ...packets) {
      const bytes = Uint8Array.from(packets.flatMap((packet) => [...packet]));
      receiver.waiting.push({ address: addressOf(from), segmentBytes: packets[0]?.length ?? 0, bytes });
      bed.settle();
      return tun.take();
    },
  };
  return bed;
}
