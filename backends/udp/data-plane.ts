// Keeps a forwarder running: opens the TUN device and the socket, starts the thread that moves packets, and does it
// again when the thread ends or the device is taken away.
import { openTun, openUdpSocket, type Tun, type UdpSocket } from 'dgram-native';
import { asTwillError, errnoOf, type TwillError } from '../../agent/base/errors.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { backoffMs } from '../../agent/base/retry.ts';
import type { DataPlane, DataPlaneDeps, DataPlaneInput, PlaneInput } from '../../agent/model/backend.ts';
import { samePrefix } from '../../agent/model/ip.ts';
import { TUN_OWNER } from '../../agent/model/kinds/tun-link.ts';
import type { CarriedPlane } from '../../agent/model/plane.ts';
import { type RunningForwarder, startForwarder } from './forwarder-control.ts';
import { LIMITS } from './limits.ts';
import { metricsOf } from './metrics.ts';

export interface UdpDataPlaneSetup {
  /** Name of the TUN device. */
  readonly device: string;
  /** UDP port of every node. */
  readonly port: number;
}

/** A forwarder with what it uses. */
interface Opened extends Disposable {
  readonly forwarder: RunningForwarder;
}

/**
 * Starts to move packets. Fails as `host` when the device or the port cannot be had; when they are lost later, it tries
 * again until they can.
 */
export async function openUdpDataPlane(
  setup: UdpDataPlaneSetup,
  first: DataPlaneInput,
  { clock, log }: DataPlaneDeps,
): Promise<DataPlane> {
  const stop = new AbortController();
  const before: Record<string, number> = {};
  let input = planeOf(first);
  let opened: Opened | undefined = open(setup, input.plane);
  let trouble: string | undefined;
  let unreachable = 0;

  const handOverPeers = (): void => {
    const forwarderPeers = input.peers.map(({ subnet, publicIP }) => ({ subnet, publicAddress: publicIP }));
    const left = opened?.forwarder.setPeers(forwarderPeers) ?? 0;
    if (left > unreachable) log.warn('peers that cannot be forwarded to', { peers: left });
    unreachable = left;
  };

  const close = async (): Promise<void> => {
    const closing = opened;
    opened = undefined;
    if (closing === undefined) return;
    await closing.forwarder.stop();
    for (const [name, count] of Object.entries(closing.forwarder.counters())) {
      before[name] = (before[name] ?? 0) + count;
    }
    closing[Symbol.dispose]();
  };

  const reopen = async (): Promise<void> => {
    for (let failures = 1; ; failures++) {
      try {
        opened = open(setup, input.plane);
        handOverPeers();
        if (trouble !== undefined) log.info('packets move again');
        trouble = undefined;
        return;
      } catch (error) {
        const { message } = asTwillError(error, 'host', 'cannot move packets');
        if (trouble !== message) log.error(message);
        trouble = message;
        await clock.sleep(backoffMs(LIMITS.reopen, failures, systemRandom), stop.signal);
      }
    }
  };

  // Restarts are done one after the other.
  let work: Promise<void> = Promise.resolve();
  const enqueue = (task: () => Promise<void>): void => {
    work = work.then(task).catch((error: unknown) => {
      if (!stop.signal.aborted) log.error(asTwillError(error, 'internal', 'data plane').message);
    });
  };

  const watch = (): void => {
    const watched = opened;
    void watched?.forwarder.failed.then((reason: TwillError) => {
      trouble = reason.message;
      log.error(reason.message);
      enqueue(() => (opened === watched ? restart() : Promise.resolve()));
    });
  };

  const restart = async (): Promise<void> => {
    await close();
    await reopen();
    watch();
  };

  handOverPeers();
  watch();
  return {
    update(next) {
      const before = input.plane;
      input = planeOf(next);
      const { network, subnet, end } = input.plane;
      const isSame = samePrefix(network, before.network) && samePrefix(subnet, before.subnet);
      if (!isSame || end.address !== before.end.address) enqueue(restart);
      else handOverPeers();
    },
    trouble: () => trouble,
    metrics() {
      const now: Record<string, number> = { ...before };
      for (const [name, count] of Object.entries(opened?.forwarder.counters() ?? {})) {
        now[name] = (now[name] ?? 0) + count;
      }
      return metricsOf(now);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await work;
      await close();
    },
  };
}

// The forwarder carries one plane, the IPv4 one.
function planeOf({ planes }: DataPlaneInput): PlaneInput {
  const [first] = planes;
  if (first === undefined) throw new Error('a data plane without a plane');
  return first;
}

function open(setup: UdpDataPlaneSetup, { end, network, subnet }: CarriedPlane): Opened {
  let tun: Tun | undefined;
  let socket: UdpSocket | undefined;
  try {
    tun = openTun({ name: setup.device, owner: TUN_OWNER });
    // It may have been deleted, and made again by this very call.
    tun.setPersistent(true);
    socket = openUdpSocket({
      address: end.address,
      port: setup.port,
      receiveBufferBytes: LIMITS.socketBufferBytes,
      sendBufferBytes: LIMITS.socketBufferBytes,
    });
    const closeAll = [socket, tun];
    const forwarder = startForwarder({ tun, socket, port: setup.port, network, subnet });
    return { forwarder, [Symbol.dispose]: () => closeAll.forEach((each) => each[Symbol.dispose]()) };
  } catch (error) {
    socket?.[Symbol.dispose]();
    tun?.[Symbol.dispose]();
    throw asTwillError(error, 'host', 'cannot move packets', hintFor(errnoOf(error), setup));
  }
}

function hintFor(errno: string | undefined, { device, port }: UdpDataPlaneSetup): string | undefined {
  if (errno === 'EBUSY') return `another program has ${device} open: stop it, flanneld perhaps`;
  if (errno === 'EINVAL') {
    return `another program has made ${device} as a link of another type: remove it with "ip link delete ${device}"`;
  }
  if (errno === 'EADDRINUSE') return `another program has UDP port ${port}: stop it, flanneld perhaps`;
  if (errno === 'ENOENT' || errno === 'ENODEV') {
    return 'load the module with "modprobe tun", or give the container the device /dev/net/tun';
  }
  return undefined;
}
