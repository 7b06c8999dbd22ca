// Opens sockets to the kernel's routing interface. Only this file knows how the `netlink` package behaves:
//
// - It aborts the process when a callback throws, and with hundreds of requests in flight.
// - It crashes on an `error` event without a listener.
// - It reports refusals as text.
// - Its request without an answer waits for ever.
import { getSystemErrorMap } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { messageOf, TwillError } from '../../base/errors.ts';
import { createYieldTurn } from '../../base/yield-turn.ts';
import { LIMITS } from '../limits.ts';
import {
  createNetlink,
  createRtNetlink,
  FlagsGet,
  type NetlinkSocket,
  type Protocol,
  type RtNetlinkSocket,
  rt,
} from './library.ts';

export type { RtNetlinkSocket };

/** Makes the object where it does not exist. */
export const CREATE = 0x400;
/** Replaces an object that exists. */
export const REPLACE = 0x100;
/** Adds a route behind those with the same destination and metric, whose packets it takes once they are gone. */
export const APPEND = 0x800;
/** Refuses where the object exists. */
export const EXCLUSIVE = 0x200;

/** Address family of IPv4 messages. */
export const IPV4 = 2;
/** Address family of messages about bridge ports and fdb entries. */
export const BRIDGE = 7;

/** Options of every request: it fails rather than wait for ever. */
export const BOUNDED = { timeout: LIMITS.netlinkRequestMs } as const;

/** The kernel fills the reader's buffer, and begins a listing anew each time to find its place. */
export const LARGE_READS = {
  messagePeeking: false,
  msgBufferSize: LIMITS.dumpBufferBytes,
  recvBufferSize: LIMITS.netlinkBufferBytes,
  sendBufferSize: 64 * 1024,
} as const;

/** Opens a socket whose errors end pending requests, by their time-out, and not the process. Fails as `host`. */
export function openRouteSocket(): RtNetlinkSocket {
  let socket: RtNetlinkSocket;
  try {
    socket = createRtNetlink(LARGE_READS);
  } catch (error) {
    throw kernelError('cannot open a netlink socket', error);
  }
  // A receive error such as ENOBUFS loses an answer. Its request ends by its time-out.
  socket.socket.on('error', () => undefined);
  // The package asks the kernel for its own address before every message; it never changes.
  const address = socket.socket.socket.address();
  socket.socket.socket.address = () => address;
  return socket;
}

/**
 * Opens a socket for events that belongs to no multicast group yet. Fails as `host`, with `cannot` and `what` it was
 * for.
 */
export function openEventSocket(protocol: Protocol, what: string): NetlinkSocket {
  try {
    return createNetlink(protocol, {
      ref: true,
      recvBufferSize: LIMITS.kernelEventBytes,
      sendBufferSize: 64 * 1024,
    });
  } catch (error) {
    throw kernelError(`cannot ${what}`, error);
  }
}

/** The messages of a dump that are wanted. */
export interface DumpReader<T> {
  /** Whether the bytes of a message may matter. The others are not parsed. */
  mayMatter(data: Buffer): boolean;
  /** The wanted value of a message; undefined: none. */
  read(message: rt.Message): T | undefined;
}

/**
 * Requests a dump of `type` and gives the wanted values of its messages. The package would parse thousands of messages
 * at once; here other tasks get a turn in between.
 */
export async function dump<T>(
  socket: RtNetlinkSocket,
  type: number,
  request: Buffer,
  reader: DumpReader<T>,
): Promise<T[]> {
  const flags = FlagsGet.DUMP;
  const [messages] = await socket.socket.request(type, [request], { flags, ...BOUNDED });
  const yieldTurn = createYieldTurn(systemClock);
  const found: T[] = [];
  for (const message of messages) {
    await yieldTurn();
    if (!reader.mayMatter(message.data)) continue;
    const made = reader.read(rt.parseMessage(message.type, message.data));
    if (made !== undefined) found.push(made);
  }
  return found;
}

/** The error `cannot …: network is unreachable (ENETUNREACH)`, from an exception of the package. */
export function kernelError(what: string, thrown: unknown): TwillError {
  const errno = refusalOf(thrown);
  if (errno === undefined) {
    const timedOut = messageOf(thrown) === 'Timeout has been reached';
    const why = timedOut
      ? `the kernel did not answer within ${LIMITS.netlinkRequestMs} ms`
      : messageOf(thrown);
    return new TwillError('host', `${what}: ${why}`, { cause: thrown });
  }
  const text = ERROR_TEXTS.get(errno) ?? 'refused by the kernel';
  const hint = errno === 'EPERM' ? { hint: 'run as root, or with CAP_NET_ADMIN' } : {};
  return new TwillError('host', `${what}: ${text} (${errno})`, { errno, cause: thrown, ...hint });
}

/** Name of the error in the kernel's answer; undefined when it did not answer. */
export function refusalOf(thrown: unknown): string | undefined {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return /^Request rejected: (\S+)$/.exec(messageOf(thrown))?.[1];
}

const ERROR_TEXTS: ReadonlyMap<string, string> = new Map(getSystemErrorMap().values());
