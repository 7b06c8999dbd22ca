// UDP sockets of either family: opening them, and asking the kernel for their abilities and paths. Senders and
// receivers move the messages.
import type { UdpSocket } from './contract.ts';
import { writeEndpoint } from './endpoints.ts';
import { SystemError } from './errors.ts';
import { ENDPOINT, swap16 } from './layout.ts';
import { libc } from './libc.ts';
import {
  AF_INET,
  AF_INET6,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_INTERFACE,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_PMTUDISC_DO,
  IPV6_V6ONLY,
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
import { getOption, setOption, trySetOption } from './socket-options.ts';
import { Descriptor, invoke, type Scratch, scratch } from './system-call.ts';

export interface UdpSocketOptions {
  /** The address to bind to, whose family is the socket's; `0.0.0.0` and `::` stand for all of the machine's. */
  readonly address: string;
  /** The port to bind to; 0: one that is free. */
  readonly port: number;
  /** Bytes that may wait to be received; beyond the system's limit only with CAP_NET_ADMIN. Default: the system's. */
  readonly receiveBufferBytes?: number;
  /** Bytes that may wait to be sent; limit and default as for receiving. */
  readonly sendBufferBytes?: number;
  /** False: senders cut runs, as if the kernel could not. Default true. */
  readonly segmentation?: boolean;
  /** False: each datagram is received by itself, as if the kernel could not merge any. Default true. */
  readonly coalescing?: boolean;
}

/** The values that another thread needs to use an open socket. They are plain and can be posted to it. */
export type UdpSocketHandle = Pick<UdpSocket, 'fd' | 'port' | 'canSegment' | 'canCoalesce'>;

/** The numbers in which the families differ. Headers are those of IP and UDP. */
interface Family {
  readonly number: number;
  readonly level: number;
  readonly mtu: number;
  readonly mtuDiscover: number;
  readonly neverFragment: number;
  readonly headerBytes: number;
  readonly maxPayloadBytes: number;
}

// ICMP errors about IPv4 paths are not believed: anybody may forge one that leaves 552 bytes. So routers must be
// allowed to fragment. IPv6 has no such routers, and an error leaves 1,280 bytes at least.
const IPV4: Family = {
  number: AF_INET,
  level: IPPROTO_IP,
  mtu: IP_MTU,
  mtuDiscover: IP_MTU_DISCOVER,
  neverFragment: IP_PMTUDISC_INTERFACE,
  headerBytes: 28,
  maxPayloadBytes: 65_507,
};

const IPV6: Family = {
  number: AF_INET6,
  level: IPPROTO_IPV6,
  mtu: IPV6_MTU,
  mtuDiscover: IPV6_MTU_DISCOVER,
  neverFragment: IPV6_PMTUDISC_DO,
  headerBytes: 48,
  maxPayloadBytes: 65_527,
};

/** The discard port: the probe sends nothing, but has to be connected somewhere. */
const PROBE_PORT = 9;

/**
 * Opens a UDP socket. It never fragments: a datagram that is larger than the MTU of the link is refused with EMSGSIZE,
 * with IPv6 also one that is larger than the path. Routers may fragment IPv4. A socket of IPv6 has nothing to do with
 * IPv4.
 *
 * Throws a RangeError where the address or the port is none, and a SystemError where they are in use or not the
 * machine's, or an option is refused.
 */
export function openUdpSocket(options: UdpSocketOptions): UdpSocket {
  const what = `cannot open UDP port ${options.port} of ${options.address}`;
  const family = options.address.includes(':') ? IPV6 : IPV4;
  const descriptor = openSocket(family, what);
  const { fd } = descriptor;
  try {
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes, what);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes, what);
    const canCoalesce = options.coalescing !== false && trySetOption(fd, SOL_UDP, UDP_GRO, 1);
    const canSegment = options.segmentation !== false && getOption(fd, SOL_UDP, UDP_SEGMENT) !== undefined;
    const endpoint = scratchEndpoint(options.address, options.port);
    invoke('bind', what, () => libc().bind(fd, endpoint, ENDPOINT.bytes));
    const port = swap16(readBound(fd, what).u16[ENDPOINT.port >>> 1] ?? 0);
    return new KernelUdpSocket(descriptor, { fd, port, canSegment, canCoalesce }, descriptor);
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

/**
 * Uses a socket that another thread opened and keeps open meanwhile. Disposing of it does not close the socket; the
 * thread that opened it does.
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
  // Opened when a path is asked for.
  #probe: Probe | undefined;

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

  pathPayloadBytes(address: string): number | undefined {
    const what = 'cannot ask for the MTU of a path';
    try {
      this.#probe ??= openProbe(this.fd, what);
      const { fd, family } = this.#probe;
      // It is connected anew each time, so that the kernel consults its routes and the errors that it heard of since.
      // It is disconnected before (by an endpoint of no family, all 0), or it would keep the last path's source
      // address.
      if (libc().connect(fd, scratch().address, ENDPOINT.bytes) < 0) return undefined;
      const endpoint = scratchEndpoint(address, PROBE_PORT);
      if (libc().connect(fd, endpoint, ENDPOINT.bytes) < 0) return undefined;
      const mtuBytes = getOption(fd, family.level, family.mtu);
      if (mtuBytes === undefined) return undefined;
      return Math.min(mtuBytes - family.headerBytes, family.maxPayloadBytes);
    } catch (error) {
      // No descriptor is left, or the socket is closed: then nothing is known, which is an answer.
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#probe?.[Symbol.dispose]();
    this.#probe = undefined;
    this.#owned?.[Symbol.dispose]();
  }
}

/** A socket that is connected in order to learn the MTU of paths. */
interface Probe extends Disposable {
  readonly fd: number;
  readonly family: Family;
}

// A socket of its own, from the same address: the real one, once connected, would receive from one peer only.
function openProbe(fd: number, what: string): Probe {
  const family = readBound(fd, what).u16[0] === AF_INET6 ? IPV6 : IPV4;
  const descriptor = openSocket(family, what);
  try {
    const { u16, address } = readBound(fd, what);
    u16[ENDPOINT.port >>> 1] = 0;
    invoke('bind', what, () => libc().bind(descriptor.fd, address, ENDPOINT.bytes));
    return { fd: descriptor.fd, family, [Symbol.dispose]: () => descriptor[Symbol.dispose]() };
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

function openSocket(family: Family, what: string): Descriptor {
  const descriptor = new Descriptor(
    invoke('socket', what, () => libc().socket(family.number, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0)),
  );
  try {
    setOption(descriptor.fd, family.level, family.mtuDiscover, family.neverFragment, what);
    if (family === IPV6) setOption(descriptor.fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, what);
    return descriptor;
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

// Writes an endpoint into the scratch bytes, and gives its address.
function scratchEndpoint(address: string, port: number): bigint {
  const bytes = scratch();
  writeEndpoint(bytes, 0, address, port);
  return bytes.address;
}

// Reads the endpoint that a socket is bound to into the scratch bytes. The word behind it is its length.
function readBound(fd: number, what: string): Scratch {
  const bytes = scratch();
  bytes.u32[ENDPOINT.bytes >>> 2] = ENDPOINT.bytes;
  const length = bytes.address + BigInt(ENDPOINT.bytes);
  invoke('getsockname', what, () => libc().getsockname(fd, bytes.address, length));
  return bytes;
}

function setBuffer(fd: number, force: number, plain: number, bytes: number | undefined, what: string): void {
  if (bytes === undefined || trySetOption(fd, SOL_SOCKET, force, bytes)) return;
  setOption(fd, SOL_SOCKET, plain, bytes, what);
}
