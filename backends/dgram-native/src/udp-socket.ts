// UDP sockets over IPv4: opening them, and what the kernel can do with them. What they carry is the business of
// senders and receivers.
import type { UdpSocket } from './contract.ts';
import { NAME } from './layout.ts';
import { libc } from './libc.ts';
import {
  AF_INET,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IPPROTO_IP,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_DGRAM_NONBLOCK_CLOEXEC,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from './numbers.ts';
import { boundName, getOption, scratchName, setOption, trySetOption } from './socket-options.ts';
import { Descriptor, invoke, scratch } from './system-call.ts';

export interface UdpSocketOptions {
  /** The address to bind to; 0: all of the machine's. */
  readonly address: number;
  /** 0: one that is free. */
  readonly port: number;
  /** Room for what waits to be received; beyond the system's limit only with CAP_NET_ADMIN. Default: the system's. */
  readonly receiveBufferBytes?: number;
  /** The same for what waits to be sent. */
  readonly sendBufferBytes?: number;
  /** False: cut runs ourselves, as if the kernel could not. Default true. */
  readonly segmentation?: boolean;
  /** False: receive each datagram by itself, as if the kernel could not do otherwise. Default true. */
  readonly coalescing?: boolean;
}

/** What another thread needs to use an open socket: plain numbers, which can be posted to it. */
export type UdpSocketHandle = Pick<UdpSocket, 'fd' | 'port' | 'canSegment' | 'canCoalesce'>;

const IP_AND_UDP_BYTES = 28;
const MAX_PAYLOAD_BYTES = 65_507;
/** The discard port: the probe sends nothing, but has to be connected somewhere. */
const PROBE_PORT = 9;

/**
 * Opens a UDP socket. It never fragments: what is larger than the path is refused with EMSGSIZE.
 *
 * Throws a SystemError where the address is in use or not the machine's, or the options are refused.
 */
export function openUdpSocket(options: UdpSocketOptions): UdpSocket {
  const what = `cannot open UDP port ${options.port} of ${formatAddress(options.address)}`;
  const descriptor = new Descriptor(
    invoke('socket', what, () => libc().socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0)),
  );
  const { fd } = descriptor;
  try {
    setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, what);
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes, what);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes, what);
    const canCoalesce = options.coalescing !== false && trySetOption(fd, SOL_UDP, UDP_GRO, 1);
    const canSegment = options.segmentation !== false && getOption(fd, SOL_UDP, UDP_SEGMENT) !== undefined;
    const name = scratchName(options.address, options.port);
    invoke('bind', what, () => libc().bind(fd, name, NAME.bytes));
    const { port } = boundName(fd, what);
    return new KernelUdpSocket(descriptor, { fd, port, canSegment, canCoalesce }, descriptor);
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

/**
 * Uses a socket that another thread opened, and that stays open as long as it is used. Disposing of it closes
 * nothing that is not its own: who opened the socket closes it.
 */
export function attachUdpSocket(handle: UdpSocketHandle): UdpSocket {
  return new KernelUdpSocket({ fd: handle.fd }, handle);
}

class KernelUdpSocket implements UdpSocket {
  readonly port: number;
  readonly canCoalesce: boolean;
  #canSegment: boolean;
  readonly #held: { readonly fd: number };
  readonly #owned: Disposable | undefined;
  #probe: Descriptor | undefined;

  constructor(held: { readonly fd: number }, handle: UdpSocketHandle, owned?: Disposable) {
    this.#held = held;
    this.#owned = owned;
    this.port = handle.port;
    this.canCoalesce = handle.canCoalesce;
    this.#canSegment = handle.canSegment;
  }

  get fd(): number {
    return this.#held.fd;
  }

  get canSegment(): boolean {
    return this.#canSegment;
  }

  stopSegmenting(): void {
    this.#canSegment = false;
  }

  pathPayloadBytes(address: number): number | undefined {
    const what = 'cannot ask for the MTU of a path';
    try {
      this.#probe ??= openProbe(this.fd, what);
      const { fd } = this.#probe;
      // Connected anew each time, so that the kernel looks at its routes and at what it learnt since. It has to be
      // disconnected before (by an address of no family, all 0): it would keep the source address of the last path.
      if (libc().connect(fd, scratch().address, NAME.bytes) < 0) return undefined;
      const name = scratchName(address, PROBE_PORT);
      if (libc().connect(fd, name, NAME.bytes) < 0) return undefined;
      const mtuBytes = getOption(fd, IPPROTO_IP, IP_MTU);
      if (mtuBytes === undefined) return undefined;
      return Math.min(mtuBytes - IP_AND_UDP_BYTES, MAX_PAYLOAD_BYTES);
    } catch {
      // No descriptor is left, or the socket is closed: nothing is known then, which is an answer.
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#probe?.[Symbol.dispose]();
    this.#probe = undefined;
    this.#owned?.[Symbol.dispose]();
  }
}

// A socket of its own, from the same address, because connecting the real one would shut out everybody else.
function openProbe(fd: number, what: string): Descriptor {
  const { address } = boundName(fd, what);
  const probe = new Descriptor(
    invoke('socket', what, () => libc().socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0)),
  );
  try {
    setOption(probe.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, what);
    const name = scratchName(address, 0);
    invoke('bind', what, () => libc().bind(probe.fd, name, NAME.bytes));
    return probe;
  } catch (error) {
    probe[Symbol.dispose]();
    throw error;
  }
}

function setBuffer(fd: number, force: number, plain: number, bytes: number | undefined, what: string): void {
  if (bytes === undefined || trySetOption(fd, SOL_SOCKET, force, bytes)) return;
  setOption(fd, SOL_SOCKET, plain, bytes, what);
}

function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}
