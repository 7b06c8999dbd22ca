// The thread of the forwarder: takes the descriptors and the shared memory that it was started with, and moves packets.
// It opens nothing and closes nothing; when it ends for any reason but being told to, its error is how it says so.
import { workerData } from 'node:worker_threads';
import {
  attachUdpSocket,
  attachWakeup,
  createArena,
  createPacketFile,
  createPoller,
  createReceiver,
  createSender,
  type TunHandle,
  type UdpSocketHandle,
} from 'dgram-native';
import { systemClock } from '../../agent/base/clock.ts';
import { createCounters } from './counters.ts';
import { createForwarder, FORWARDER_BYTES, type ForwarderConfig } from './forwarder.ts';
import { createPeerRoutes } from './peer-routes.ts';

/** What the thread is started with. */
export interface ForwarderWorkerData {
  readonly config: ForwarderConfig;
  readonly tun: TunHandle;
  readonly socket: UdpSocketHandle;
  readonly wakeupFd: number;
  readonly peers: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** One word: not 0 means stop. */
  readonly control: SharedArrayBuffer;
}

const RECEIVED_MESSAGES = 8;
const RECEIVED_BYTES = 65_536;
const SENT_MESSAGES = 256;
// Of one message at least: 64 datagrams of two pieces.
const SENT_PIECES = 1_024;
// The offload header, the first packet whole, and the payload of each that follows.
const WRITTEN_PIECES = 1_024;
// Tables of the sender, the receiver and the file.
const TABLES_BYTES = 262_144;

function runWorker(data: ForwarderWorkerData): void {
  const arena = createArena(FORWARDER_BYTES + RECEIVED_MESSAGES * RECEIVED_BYTES + TABLES_BYTES);
  using socket = attachUdpSocket(data.socket);
  using wakeup = attachWakeup(data.wakeupFd);
  const control = new Int32Array(data.control);
  createForwarder({
    config: data.config,
    arena,
    sender: createSender(arena, socket, { messages: SENT_MESSAGES, pieces: SENT_PIECES }),
    receiver: createReceiver(arena, socket, { messages: RECEIVED_MESSAGES, messageBytes: RECEIVED_BYTES }),
    receiverMessages: RECEIVED_MESSAGES,
    socket,
    tun: createPacketFile(arena, data.tun.fd, WRITTEN_PIECES),
    poller: createPoller(arena, [data.tun.fd, socket.fd, wakeup.fd]),
    wakeup,
    routes: createPeerRoutes(data.peers),
    counters: createCounters(data.counters),
    nowMs: () => systemClock.monotonicMs(),
    shouldStop: () => Atomics.load(control, 0) !== 0,
  }).run();
}

runWorker(workerData as ForwarderWorkerData);
