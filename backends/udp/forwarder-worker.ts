// The thread of the forwarder: it takes the descriptors and the shared memory that it was started with, and moves
// packets. It opens nothing and closes nothing. Unless it was told to stop, it ends with the error that ended it.
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
import { createForwarder, FORWARDER_BYTES, FORWARDER_PARTS, type ForwarderConfig } from './forwarder.ts';
import { createPeerRoutes } from './peer-routes.ts';

/** The values that the thread is started with. */
export interface ForwarderWorkerData {
  readonly config: ForwarderConfig;
  readonly tun: TunHandle;
  readonly socket: UdpSocketHandle;
  readonly wakeupFd: number;
  readonly peers: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** One word; another value than 0 tells the thread to stop. */
  readonly control: SharedArrayBuffer;
}

function runWorker(data: ForwarderWorkerData): void {
  const arena = createArena(FORWARDER_BYTES);
  using socket = attachUdpSocket(data.socket);
  using wakeup = attachWakeup(data.wakeupFd);
  const control = new Int32Array(data.control);
  createForwarder({
    config: data.config,
    arena,
    sender: createSender(arena, socket, FORWARDER_PARTS.sender),
    singleSender: createSender(arena, socket, FORWARDER_PARTS.singleSender),
    receiver: createReceiver(arena, socket, FORWARDER_PARTS.receiver),
    socket,
    tun: createPacketFile(arena, data.tun.fd, FORWARDER_PARTS.filePieces),
    poller: createPoller(arena, [data.tun.fd, socket.fd, wakeup.fd]),
    wakeup,
    routes: createPeerRoutes(data.peers),
    counters: createCounters(data.counters),
    nowMs: () => systemClock.monotonicMs(),
    shouldStop: () => Atomics.load(control, 0) !== 0,
  }).run();
}

runWorker(workerData as ForwarderWorkerData);
