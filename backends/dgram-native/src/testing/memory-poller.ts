// A poller that never waits.
import type { Poller } from '../contract.ts';

export interface MemoryPoller extends Poller {
  failed: number;
  /** Calls of `wait`. */
  waits: number;
}

/**
 * Makes a poller for sources that say whether they can be read. `onIdle` is called where a real one would block: no
 * source can be read, none has failed, and the time to wait is not 0.
 */
export function createMemoryPoller(sources: readonly (() => boolean)[], onIdle: () => void): MemoryPoller {
  const poller: MemoryPoller = {
    failed: 0,
    waits: 0,
    wait(timeoutMs) {
      poller.waits += 1;
      let ready = 0;
      for (let i = 0; i < sources.length; i += 1) if (sources[i]?.() === true) ready |= 1 << i;
      if (ready === 0 && poller.failed === 0 && timeoutMs !== 0) onIdle();
      return ready;
    },
  };
  return poller;
}
