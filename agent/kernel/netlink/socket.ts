// Sockets to the kernel's routing interface, and the one place that knows how the `netlink` package behaves:
// it aborts the process with hundreds of requests in flight or when a callback throws, it crashes on an
// `error` event without a listener, it reports refusals as text, and a request without an answer waits for ever.
import { getSystemErrorMap } from 'node:util';
import {
  type AttrStream,
  createNetlink,
  createRtNetlink,
  FlagsGet,
  type NetlinkSocket,
  type Protocol,
  type RtNetlinkSocket,
  rt,
} from 'netlink';
import { systemClock } from '../../base/clock.ts';
import { messageOf, TwillError } from '../../base/errors.ts';
import { createYieldTurn } from '../../base/yield-turn.ts';
import { LIMITS } from '../limits.ts';

export type { RtNetlinkSocket };

/** Flags of a request that makes something. */
export const CREATE = 0x400;
export const REPLACE = 0x100;
export const EXCLUSIVE = 0x200;

export const IPV4 = 2;
export const BRIDGE = 7;

/** Options that every request takes: it fails rather than wait for ever. */
export const BOUNDED = { timeout: LIMITS.netlinkRequestMs } as const;

/** A socket whose errors reach the pending requests (they time out) instead of the process. */
export function openRouteSocket(): RtNetlinkSocket {
  let socket: RtNetlinkSocket;
  try {
    socket = createRtNetlink();
  } catch (error) {
    throw kernelError('cannot open a netlink socket', error);
  }
  // Receive errors such as ENOBUFS lose an answer, which its request notices by its time-out.
  socket.socket.on('error', () => undefined);
  // The package asks the kernel for its own address before every message; it never changes.
  const address = socket.socket.socket.address();
  socket.socket.socket.address = () => address;
  return socket;
}

/** A socket to hear of changes, which belongs to no group yet. Fails as `host`: it cannot `what`. */
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

/**
 * What `read` makes of each entry that the kernel gives for `request`, a dump of `type`; nothing of those that it makes
 * undefined of. The package would parse thousands of them at once: here others get their turn in between.
 */
export async function dump<T>(
  socket: RtNetlinkSocket,
  type: number,
  request: AttrStream,
  read: (message: rt.Message) => T | undefined,
): Promise<T[]> {
  const flags = FlagsGet.DUMP;
  const [messages] = await socket.socket.request(type, request.bufs, { flags, ...BOUNDED });
  const yieldTurn = createYieldTurn(systemClock);
  const found: T[] = [];
  for (const message of messages) {
    await yieldTurn();
    const made = read(rt.parseMessage(message.type, message.data));
    if (made !== undefined) found.push(made);
  }
  return found;
}

/** `cannot …: network is unreachable (ENETUNREACH)`, whatever the package threw. */
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

/** Name of the error that the kernel answered with; undefined when it did not answer. */
export function refusalOf(thrown: unknown): string | undefined {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return /^Request rejected: (\S+)$/.exec(messageOf(thrown))?.[1];
}

const ERROR_TEXTS: ReadonlyMap<string, string> = new Map(getSystemErrorMap().values());
