// What to do when the kernel will not read or receive: once is that packet's fault, again and again is the device's.
import { TwillError } from '../../agent/base/errors.ts';
import { LIMITS } from './limits.ts';

/** An invalid packet; a signal; a moment without memory; a message about a datagram that nobody took. */
const PASSING: ReadonlySet<number> = new Set([4, 12, 22, 90, 105, 111, 113]);

/** Takes the errno of each failure, and throws `host` for one that will not pass or when there are too many. */
export function readFailure(what: string): (errno: number) => void {
  let failures = 0;
  return (errno) => {
    failures++;
    if (PASSING.has(errno) && failures < LIMITS.failures) return;
    throw new TwillError('host', `cannot read from ${what}: errno ${errno}`);
  };
}
