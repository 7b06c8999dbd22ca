// Starts the forwarder's thread, hands it peers, reads its counters, and reports its end. Nothing here waits for the
// thread, and the thread waits for nothing here: a main thread that is stuck delays no packet.
import { Worker } from 'node:worker_threads';
import { createWakeup, type TunHandle, type UdpSocketHandle } from 'dgram-native';
import { systemClock } from '../../agent/base/clock.ts';
import { TwillError } from '../../agent/base/errors.ts';
import type { Prefix } from '../../agent/model/ip.ts';
import { type CounterName, createCounterMemory, readCounters } from './counters.ts';
import type { ForwarderWorkerData } from './forwarder-worker.ts';
import { LIMITS } from './limits.ts';
import { maskOf, parseAddress } from './packets/address.ts';
import { createPeerMemory, type PeerRoute, writePeers } from './peer-routes.ts';

/** The settings of a forwarder. The device and the socket must stay open until it has ended. */
export interface ForwarderSetup {
  readonly tun: TunHandle;
  readonly socket: UdpSocketHandle;
  /** UDP port of every node. */
  readonly port: number;
  readonly network: Prefix;
  readonly subnet: Prefix;
  /** The program of the thread. Default: the one beside this file. */
  readonly program?: URL;
}

/** A node that packets go to and come from. */
export interface ForwarderPeer {
  readonly subnet: Prefix;
  readonly publicAddress: string;
}

export interface RunningForwarder {
  /**
   * Replaces the peers. A peer whose subnet is not inside the network, or overlaps ours, is left out, and so is one
   * that finds no room. Gives the number of those.
   */
  setPeers(peers: readonly ForwarderPeer[]): number;
  counters(): Readonly<Record<CounterName, number>>;
  /** Resolves with the reason when the thread ended though it was not told to stop. */
  readonly failed: Promise<TwillError>;
  /** Ends the thread. Afterwards the device and the socket may be closed. */
  stop(): Promise<void>;
}

// The thread allocates next to nothing while it runs, and starts with far less.
const HEAP = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, codeRangeSizeMb: 8, stackSizeMb: 1 };

/** File descriptors that a thread needs for its start, and some more. */
const THREAD_DESCRIPTORS = 8;

/** Starts a forwarder without peers. Fails as `host` when no thread can be started. */
export function startForwarder(setup: ForwarderSetup): RunningForwarder {
  const network = rangeOf(setup.network);
  const subnet = rangeOf(setup.subnet);
  const control = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const peersMemory = createPeerMemory(LIMITS.peers);
  const countersMemory = createCounterMemory();
  assertThreadCanStart();
  const wakeup = createWakeup();
  const data: ForwarderWorkerData = {
    config: {
      port: setup.port,
      network,
      subnet,
      tcpRuns: setup.tun.tcpRuns,
      udpRuns: setup.tun.udpRuns,
    },
    tun: plainTun(setup.tun),
    socket: plainSocket(setup.socket),
    wakeupFd: wakeup.fd,
    peers: peersMemory,
    counters: countersMemory,
    control: control.buffer as SharedArrayBuffer,
  };
  const worker = new Worker(setup.program ?? new URL('./forwarder-worker.js', import.meta.url), {
    name: 'forwarder',
    workerData: data,
    resourceLimits: HEAP,
    env: {},
    execArgv: [],
  });

  let isStopping = false;
  let fail: (reason: TwillError) => void = () => undefined;
  const failed = new Promise<TwillError>((resolve) => {
    fail = resolve;
  });
  let reason: unknown;
  worker.on('error', (error) => {
    reason = error;
  });
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (exitCode) => {
      resolve();
      wakeup[Symbol.dispose]();
      if (!isStopping) fail(failureOf(reason, exitCode));
    });
  });

  const ring = (): void => {
    if (wakeup.fd >= 0) wakeup.ring();
  };

  return {
    failed,
    setPeers(peers) {
      const routes = peers.map(routeOf).filter((route) => isInside(route, network) && !isOver(route, subnet));
      const unfit = writePeers(peersMemory, routes);
      ring();
      return peers.length - routes.length + unfit;
    },
    counters: () => readCounters(countersMemory),
    async stop() {
      isStopping = true;
      Atomics.store(control, 0, 1);
      ring();
      const patience = new AbortController();
      const late = systemClock.sleep(LIMITS.stopMs, patience.signal).then(
        () => worker.terminate(),
        () => undefined,
      );
      await Promise.race([ended, late]);
      patience.abort();
      await ended;
    },
  };
}

// A thread whose start fails for want of descriptors never gives back those that it got. Some hundred attempts would
// take all of them away from the rest of the agent.
function assertThreadCanStart(): void {
  const taken: Disposable[] = [];
  try {
    while (taken.length < THREAD_DESCRIPTORS) taken.push(createWakeup());
  } finally {
    for (const each of taken) each[Symbol.dispose]();
  }
}

function failureOf(reason: unknown, exitCode: number): TwillError {
  const why = reason instanceof Error ? reason.message : `exit code ${exitCode}`;
  return new TwillError('host', `the forwarder ended: ${why}`, { cause: reason });
}

// Sockets and devices have more than plain values; only those can be posted to a thread.
function plainTun({ fd, name, tcpRuns, udpRuns }: TunHandle): TunHandle {
  return { fd, name, tcpRuns, udpRuns };
}

function plainSocket({ fd, port, canSegment, canCoalesce }: UdpSocketHandle): UdpSocketHandle {
  return { fd, port, canSegment, canCoalesce };
}

interface Range {
  readonly address: number;
  readonly length: number;
}

function rangeOf({ address, length }: Prefix): Range {
  return { address: parseAddress(address), length };
}

function routeOf({ subnet, publicAddress }: ForwarderPeer): PeerRoute {
  const { address, length } = rangeOf(subnet);
  return { subnet: address & maskOf(length), length, publicAddress: parseAddress(publicAddress) };
}

function isInside({ subnet, length, publicAddress }: PeerRoute, network: Range): boolean {
  const mask = maskOf(network.length);
  return publicAddress !== 0 && length >= network.length && (subnet & mask) === (network.address & mask);
}

function isOver({ subnet, length }: PeerRoute, own: Range): boolean {
  const mask = maskOf(Math.min(length, own.length));
  return (subnet & mask) === (own.address & mask);
}
