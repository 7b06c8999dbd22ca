// Why the node is not ready, by part: each part reports its own trouble and takes it back. A trouble is logged when it
// comes or changes, not each time it is met again.
import type { Logger } from '../base/log.ts';
import type { Readiness } from './health.ts';

export interface Troubles {
  /** The part waits for something that is no fault: not ready, and nothing to log. */
  wait(part: string, reason: string): void;
  /** Something is wrong with the part. */
  complain(part: string, message: string): void;
  /** The part is well. True: it was not. */
  clear(part: string): boolean;
  has(part: string): boolean;
  /** Ready when no part has trouble, nor `other` is any. */
  readiness(other: string | undefined): Readiness;
}

export function createTroubles(log: Logger): Troubles {
  const reasons = new Map<string, string>();
  return {
    wait: (part, reason) => void reasons.set(part, reason),
    complain(part, message) {
      if (reasons.get(part) !== message) log.error(message);
      reasons.set(part, message);
    },
    clear: (part) => reasons.delete(part),
    has: (part) => reasons.has(part),
    readiness(other) {
      const [reason = other] = reasons.values();
      return reason === undefined ? { ready: true, reason: 'ready' } : { ready: false, reason };
    },
  };
}
