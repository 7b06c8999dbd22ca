// Decides which failures to read or receive end the forwarder: a single one may be the fault of one packet, many in a
// row are the fault of the device or the socket.
import { errnoName } from 'dgram-native';
import { TwillError } from '../../agent/base/errors.ts';
import { ECONNREFUSED, EHOSTUNREACH, EINTR, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM } from './errnos.ts';
import { LIMITS } from './limits.ts';

/** An invalid packet, a signal, a moment without memory, an ICMP error about a datagram that was sent before. */
const PASSING: ReadonlySet<number> = new Set([
  EINTR,
  EINVAL,
  EMSGSIZE,
  ENOMEM,
  ENOBUFS,
  ECONNREFUSED,
  EHOSTUNREACH,
]);

/** Makes a function that takes the errno of each failure. It throws `host` for one that lasts, and for too many. */
export function createFailureLimit(source: string): (errno: number) => void {
  let failures = 0;
  return (errno) => {
    failures++;
    if (PASSING.has(errno) && failures < LIMITS.failures) return;
    throw new TwillError('host', `cannot read from ${source}: ${errnoName(errno)}`);
  };
}
