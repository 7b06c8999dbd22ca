// The loop that moves packets, both ways, until it is told to stop. It owns no descriptor and knows no system call:
// what it moves packets with is given to it. No memory is taken for a packet; all of it is reserved at the start.
//
//     TUN device ── outbound ──► outbox ──► socket          peers: one table, replaced from another thread,
//     TUN device ◄── inbound ◄──────────── socket           looked at before each turn
import type { Arena, PacketFile, Poller, Receiver, Sender, UdpSocket, Wakeup } from 'dgram-native';
import { TwillError } from '../../agent/base/errors.ts';
import { COUNTER, type Counters } from './counters.ts';
import { createInbound } from './inbound.ts';
import { LIMITS } from './limits.ts';
import { createOutbound, READ_ROOM } from './outbound.ts';
import { createOversize, OVERSIZE_ROOM } from './oversize.ts';
import { createSum, type Sum } from './packets/checksum.ts';
import { createCoalescer } from './packets/coalesce.ts';
import { maskOf } from './packets/mask.ts';
import { OFFLOAD } from './packets/offload-header.ts';
import { createOutbox, HEADER_ROOM, type TakeTooBig } from './packets/outbox.ts';
import { createPacketMemory } from './packets/packet-memory.ts';
import { createSegmenter } from './packets/segment.ts';
import { createPathLimits } from './path-limits.ts';
import type { PeerRoutes } from './peer-routes.ts';
import { createReporter, REPORT_ROOM } from './reporter.ts';

/** What does not change while it runs. Addresses are 32-bit numbers. */
export interface ForwarderConfig {
  /** UDP port of every node. */
  readonly port: number;
  readonly network: { readonly address: number; readonly length: number };
  readonly subnet: { readonly address: number; readonly length: number };
  /** Address of our TUN device, in our subnet. */
  readonly tunnelAddress: number;
  /** Which runs the TUN device gives and takes. */
  readonly tcpRuns: boolean;
  readonly udpRuns: boolean;
}

export interface ForwarderParts {
  readonly config: ForwarderConfig;
  readonly arena: Arena;
  readonly sender: Sender;
  readonly receiver: Receiver;
  /** Messages that one receive takes at most. */
  readonly receiverMessages: number;
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

/** For an offload header, and for what the arena leaves free so that each part begins on a boundary of 64. */
const SLACK = 256;

/** Bytes of the arena that a forwarder reserves, beside what its sender, receiver, file and poller do. */
export const FORWARDER_BYTES: number =
  OUTBOX_DATAGRAMS * HEADER_ROOM + READ_ROOMS * READ_ROOM + OVERSIZE_ROOM + REPORT_ROOM + HEADER_ROOM + SLACK;

export function createForwarder(parts: ForwarderParts): Forwarder {
  const { config, arena, tun, receiver, socket, poller, wakeup, routes, counters, nowMs } = parts;
  const memory = createPacketMemory(arena.u8);
  const sum = parts.sum ?? createSum(arena.memory, memory);
  const paths = createPathLimits((address) => socket.pathPayloadBytes(address >>> 0), nowMs);
  const tooBig: TakeTooBig = (...packet) => oversize(...packet);
  const outbox = createOutbox({
    sender: parts.sender,
    port: config.port,
    counters,
    paths,
    tooBig,
    headersAt: arena.reserve(OUTBOX_DATAGRAMS * HEADER_ROOM),
    capacity: OUTBOX_DATAGRAMS,
  });
  const reporter = createReporter({
    memory,
    sum,
    file: tun,
    outbox,
    counters,
    nowMs,
    roomAt: arena.reserve(REPORT_ROOM),
    networkAddress: speakerOf(config),
    tunnelAddress: config.tunnelAddress,
  });
  const oversize = createOversize({
    memory,
    outbox,
    reporter,
    counters,
    roomAt: arena.reserve(OVERSIZE_ROOM),
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
    receiverMessages: parts.receiverMessages,
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
      // A side that had its turn and was not done is not waited for.
      let isBusy = false;
      for (let failures = 0; failures < LIMITS.failures; ) {
        if (parts.shouldStop()) return;
        lookAround();
        const ready = poller.wait(isBusy ? 0 : LIMITS.idleMs);
        if ((ready & WAKEUP) !== 0) wakeup.clear();
        if ((poller.failed & TUN) !== 0) throw new TwillError('host', 'the TUN device is gone');
        // An error of the socket is fetched by receiving.
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
function speakerOf({ network, subnet }: ForwarderConfig): number {
  const mask = maskOf(subnet.length);
  const first = network.address & maskOf(network.length);
  return (first & mask) === (subnet.address & mask) ? first | ~maskOf(network.length) : first;
}
