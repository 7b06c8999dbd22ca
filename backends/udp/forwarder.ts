// The loop that moves packets, both ways, until it is told to stop. It owns no descriptor and makes no system call
// itself: it gets a sender, a receiver and a file. All memory is reserved at the start, none is allocated for a packet.
//
//     TUN device ── outbound ──► outbox ──► socket          peers: one table, replaced from another thread,
//     TUN device ◄── inbound ◄──────────── socket           consulted before each turn
import {
  type Arena,
  arenaBytes,
  createEndpoints,
  ENDPOINT_BYTES,
  type PacketFile,
  type Poller,
  packetFileBytes,
  pollerBytes,
  type Receiver,
  receiverBytes,
  type Sender,
  senderBytes,
  type UdpSocket,
  type Wakeup,
} from 'dgram-native';
import { TwillError } from '../../agent/base/errors.ts';
import { createCoalescer } from './coalescer.ts';
import { COUNTER, type Counters } from './counters.ts';
import { createInbound } from './inbound.ts';
import { LIMITS } from './limits.ts';
import { createOutbound, READ_ROOM } from './outbound.ts';
import { createOutbox } from './outbox.ts';
import { createOversize, OVERSIZE_ROOM } from './oversize.ts';
import { formatAddress, maskOf } from './packets/address.ts';
import { createSum, type Sum } from './packets/checksum.ts';
import { OFFLOAD } from './packets/offload-header.ts';
import { createPacketMemory } from './packets/packet-memory.ts';
import { createSegmenter, HEADER_ROOM } from './packets/segment.ts';
import { createPathLimits } from './path-limits.ts';
import type { PeerRoutes } from './peer-routes.ts';
import { createReporter, REPORT_ROOM } from './reporter.ts';
import { createSingles } from './singles.ts';

/** Settings that do not change while it runs. Addresses are signed 32-bit numbers. */
export interface ForwarderConfig {
  /** UDP port of every node. */
  readonly port: number;
  readonly network: { readonly address: number; readonly length: number };
  readonly subnet: { readonly address: number; readonly length: number };
  /** The TUN device gives and takes runs of TCP. */
  readonly tcpRuns: boolean;
  /** The TUN device gives and takes runs of UDP. */
  readonly udpRuns: boolean;
}

export interface ForwarderParts {
  readonly config: ForwarderConfig;
  readonly arena: Arena;
  readonly sender: Sender;
  /** A second one, for single datagrams. */
  readonly singleSender: Sender;
  readonly receiver: Receiver;
  readonly socket: Pick<UdpSocket, 'canSegment' | 'pathPayloadBytes'>;
  readonly tun: PacketFile;
  /** Of the TUN device, the socket and the wakeup, in this order. */
  readonly poller: Poller;
  readonly wakeup: Pick<Wakeup, 'clear'>;
  readonly routes: PeerRoutes;
  readonly counters: Counters;
  /** A clock that does not go back. */
  readonly nowMs: () => number;
  readonly shouldStop: () => boolean;
  /** The checksum; default: the fastest. */
  readonly sum?: Sum;
}

export interface Forwarder {
  /** Moves packets until it should stop. Fails as `host` when the device or the socket is gone. */
  run(): void;
}

const TUN = 1;
const SOCKET = 2;
const WAKEUP = 4;

/** Datagrams that wait in the outbox at most. */
const OUTBOX_DATAGRAMS = 512;
/** Runs that are read before they are sent together. */
const READ_ROOMS = 2;

/** The most that a forwarder uses of its parts. */
export const FORWARDER_PARTS = {
  /** Each datagram of the outbox has two pieces. */
  sender: { messages: 256, pieces: 2 * OUTBOX_DATAGRAMS },
  singleSender: { messages: 64, pieces: 128 },
  receiver: { messages: 8, messageBytes: 65_536 },
  /** The offload header, the first packet whole, and the payload of each that follows. */
  filePieces: 1_024,
  descriptors: 3,
} as const;

/** Bytes of an arena that is large enough for a forwarder and its parts. */
export const FORWARDER_BYTES: number = arenaBytes(
  senderBytes(FORWARDER_PARTS.sender),
  senderBytes(FORWARDER_PARTS.singleSender),
  receiverBytes(FORWARDER_PARTS.receiver),
  packetFileBytes(FORWARDER_PARTS.filePieces),
  pollerBytes(FORWARDER_PARTS.descriptors),
  FORWARDER_PARTS.sender.messages * ENDPOINT_BYTES,
  FORWARDER_PARTS.singleSender.messages * ENDPOINT_BYTES,
  OUTBOX_DATAGRAMS * HEADER_ROOM,
  REPORT_ROOM,
  OVERSIZE_ROOM,
  HEADER_ROOM,
  READ_ROOMS * READ_ROOM,
  OFFLOAD.bytes,
);

export function createForwarder(parts: ForwarderParts): Forwarder {
  const { config, arena, tun, receiver, socket, poller, wakeup, routes, counters, nowMs } = parts;
  const memory = createPacketMemory(arena.u8);
  const sum = parts.sum ?? createSum(arena.memory, memory);
  const paths = createPathLimits((address) => socket.pathPayloadBytes(formatAddress(address)), nowMs);
  const endpoints = createEndpoints(arena);
  const singles = createSingles({
    sender: parts.singleSender,
    endpoints,
    endpointsAt: arena.reserve(parts.singleSender.capacity * ENDPOINT_BYTES),
    port: config.port,
    counters,
  });
  const reporter = createReporter({
    memory,
    sum,
    file: tun,
    singles,
    counters,
    nowMs,
    roomAt: arena.reserve(REPORT_ROOM),
    sourceToHost: foreignAddressOf(config),
    sourceToPeers: config.subnet.address,
  });
  const oversize = createOversize({
    memory,
    singles,
    reporter,
    counters,
    roomAt: arena.reserve(OVERSIZE_ROOM),
  });
  const outbox = createOutbox({
    sender: parts.sender,
    endpoints,
    endpointsAt: arena.reserve(parts.sender.capacity * ENDPOINT_BYTES),
    port: config.port,
    counters,
    paths,
    singles,
    oversize,
    headersAt: arena.reserve(OUTBOX_DATAGRAMS * HEADER_ROOM),
    capacity: OUTBOX_DATAGRAMS,
  });
  const outbound = createOutbound({
    memory,
    sum,
    file: tun,
    outbox,
    segmenter: createSegmenter(memory, sum, outbox, arena.reserve(HEADER_ROOM)),
    oversize,
    reporter,
    routes,
    paths,
    counters,
    roomAt: arena.reserve(READ_ROOMS * READ_ROOM),
    roomBytes: READ_ROOMS * READ_ROOM,
  });
  const { tcpRuns, udpRuns, subnet } = config;
  const inbound = createInbound({
    memory,
    receiver,
    endpoints,
    coalescer: createCoalescer({
      memory,
      sum,
      file: tun,
      counters,
      tcpRuns,
      udpRuns,
      offloadAt: arena.reserve(OFFLOAD.bytes),
    }),
    reporter,
    routes,
    own: { address: subnet.address & maskOf(subnet.length), mask: maskOf(subnet.length) },
    port: config.port,
    counters,
  });

  let couldSegment = socket.canSegment;
  const lookAround = (): void => {
    if (routes.refresh()) counters.add(COUNTER.peer_updates, 1);
    if (couldSegment && !socket.canSegment) {
      couldSegment = false;
      counters.add(COUNTER.segmentation_lost, 1);
    }
  };

  return {
    run() {
      // While a side is not done after its turn, the loop does not wait.
      let isBusy = false;
      for (let failures = 0; failures < LIMITS.failures; ) {
        if (parts.shouldStop()) return;
        lookAround();
        const ready = poller.wait(isBusy ? 0 : LIMITS.idleMs);
        if ((ready & WAKEUP) !== 0) wakeup.clear();
        if ((poller.failed & TUN) !== 0) throw new TwillError('host', 'the TUN device is gone');
        // Receiving fetches an error of the socket.
        isBusy = false;
        if ((ready & TUN) !== 0) isBusy = outbound.turn(LIMITS.turnReads) === LIMITS.turnReads;
        if (((ready | poller.failed) & SOCKET) !== 0) {
          isBusy = inbound.turn(LIMITS.turnReceives) === LIMITS.turnReceives || isBusy;
        }
        failures = ready === 0 && poller.failed !== 0 ? failures + 1 : 0;
      }
      throw new TwillError('host', 'the UDP socket of the forwarder fails again and again');
    },
  };
}

// An address of the network that is not in our own subnet: the first one, or else the last one.
function foreignAddressOf({ network, subnet }: ForwarderConfig): number {
  const mask = maskOf(subnet.length);
  const first = network.address & maskOf(network.length);
  return (first & mask) === (subnet.address & mask) ? first | ~maskOf(network.length) : first;
}
