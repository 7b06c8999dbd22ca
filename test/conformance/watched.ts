// A watch of a store that is read in the background.
import { onTestFinished } from 'vitest';
import type { Kv, KvEvent, KvRanges } from '../../agent/model/kv.ts';
import { waitFor } from '../lab/wait.ts';

/** A watch that is read in the background until the test ends. */
export interface Watched {
  readonly events: KvEvent[];
  /** Undefined while it runs, then `ended` or the thrown error. */
  outcome(): unknown;
  stop(): void;
  /** Waits for the change of a key to a value, or to nothing. */
  sees(key: string, value: string | undefined): Promise<void>;
}

/** Starts a watch and waits for its first event or its end. */
export async function watch(kv: Kv, ranges: KvRanges, fromRevision: number): Promise<Watched> {
  const events: KvEvent[] = [];
  let outcome: unknown;
  const stop = new AbortController();
  const reading = (async () => {
    try {
      for await (const batch of kv.watch(ranges, fromRevision, stop.signal)) events.push(...batch);
      outcome = 'ended';
    } catch (error) {
      outcome = error;
    }
  })();
  onTestFinished(async () => {
    stop.abort();
    await reading;
  });
  await waitFor('the first event of the watch', 10_000, () => events.length > 0 || outcome !== undefined);
  return {
    events,
    outcome: () => outcome,
    stop: () => stop.abort(),
    sees: async (key, value) => {
      await waitFor(`the watch delivers ${key} = ${value}`, 10_000, () =>
        events.some((event) =>
          event.type === 'put'
            ? event.entry.key === key && event.entry.value === value
            : event.type === 'delete' && event.key === key && value === undefined,
        ),
      );
    },
  };
}

/** The changes among events, as short texts. */
export function changes(events: readonly KvEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'progress') return [];
    return event.type === 'put' ? `${event.entry.key}=${event.entry.value}` : `${event.key} deleted`;
  });
}
