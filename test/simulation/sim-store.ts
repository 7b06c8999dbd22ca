// A node's path to the store. Requests take time or get lost; some are carried out and their answer gets lost. Watches
// deliver late, and break.
import type { Clock } from '../../agent/base/clock.ts';
import { TwillError } from '../../agent/base/errors.ts';
import type { Random } from '../../agent/base/random.ts';
import { LIMITS } from '../../agent/datastore/limits.ts';
import { type Kv, type KvEvent, type KvRanges, rangesOf } from '../../agent/model/kv.ts';
import { DATASTORE_BACKOFF } from '../../agent/model/limits.ts';
import { type Life, orAbort } from './life.ts';
import type { Trace } from './trace.ts';
import { drawDelayMs, type Weather } from './weather.ts';

/** The path itself. It belongs to the host and outlives its processes. */
export interface StoreWay {
  /** `refused`: no server listens; `silent`: packets are dropped. */
  state: 'open' | 'refused' | 'silent';
  /** Break the open watches. */
  readonly breakers: Set<() => void>;
  /** The number of requests under way that will fail. */
  failing: number;
  /** Until then the process may pause after a failure. */
  troubledUntilMs: number;
}

/** The store's server at the end of all paths. */
export interface StoreServer {
  /** The number of restarts under way. While there is one, the server does not listen. */
  restarts: number;
  /** The number of its ends. A request to an earlier server is never answered: the connection ended with it. */
  ends: number;
}

export interface SimStoreDeps {
  readonly kv: Kv;
  readonly way: StoreWay;
  readonly server: StoreServer;
  readonly life: Life;
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly trace: Trace;
  readonly host: string;
}

const failure = (what: string, why: string): TwillError =>
  new TwillError('datastore', `${what}: ${why} (simulated)`);

export function openSimStore(deps: SimStoreDeps): Kv {
  const { kv, way, server, life, clock, random, weather, trace, host } = deps;
  const fail = async (afterMs: number, what: string, why: string): Promise<never> => {
    way.failing += 1;
    await clock.sleep(afterMs);
    way.failing -= 1;
    way.troubledUntilMs = clock.monotonicMs() + DATASTORE_BACKOFF.maxMs;
    throw failure(what, why);
  };
  const giveUp = (what: string): Promise<never> => fail(LIMITS.datastoreRequestMs, what, 'no answer');
  // A killed process may have sent its request already, or not.
  const isGone = (): boolean => life.isOver && random() < 0.5;

  const travel = async <T>(what: string, perform: () => Promise<T>): Promise<T> => {
    const { delayMs, lostRequests, lostAnswers, lateRequests } = weather();
    const { ends } = server;
    const isCut = (): boolean => way.state !== 'open' || server.ends !== ends;
    if (way.state === 'refused' || server.restarts > 0) {
      return fail(drawDelayMs(random, 10), what, 'connection refused');
    }
    const fate = random();
    if (way.state === 'silent' || fate < lostRequests) return giveUp(what);
    if (fate < lostRequests + lateRequests) {
      const late = async (): Promise<void> => {
        await clock.sleep(LIMITS.datastoreRequestMs + random() * 5_000);
        if (weather().lateRequests === 0 || server.ends !== ends) return;
        trace.note(host, `late: ${what}`);
        await perform();
      };
      void late().catch(() => undefined);
      return giveUp(what);
    }
    await clock.sleep(drawDelayMs(random, delayMs));
    if (isGone() || isCut()) return giveUp(what);
    const answer = await perform();
    if (fate < lostRequests + lateRequests + lostAnswers) {
      trace.note(host, `answer lost: ${what}`);
      return fail(random() * LIMITS.datastoreRequestMs, what, 'connection lost');
    }
    await clock.sleep(drawDelayMs(random, delayMs));
    if (isCut()) return giveUp(what);
    return answer;
  };
  const ask = <T>(what: string, signal: AbortSignal | undefined, perform: () => Promise<T>): Promise<T> =>
    life.pass(orAbort(travel(what, perform), signal));

  return {
    list: (ranges, signal) => ask(`list ${textOf(ranges)}`, signal, () => kv.list(ranges)),
    get: (key, signal) => ask(`get ${key}`, signal, () => kv.get(key)),
    openSession: (ttlSeconds, signal) => ask('open session', signal, () => kv.openSession(ttlSeconds)),
    keepAlive: (session, signal) => ask('keep alive', signal, () => kv.keepAlive(session)),
    closeSession: (session, signal) => ask('close session', signal, () => kv.closeSession(session)),
    create: (key, value, session, signal) =>
      ask(`create ${key}`, signal, () => kv.create(key, value, session)),
    update: (entry, value, signal) => ask(`update ${entry.key}`, signal, () => kv.update(entry, value)),
    delete: (entry, signal) => ask(`delete ${entry.key}`, signal, () => kv.delete(entry)),

    async *watch(ranges, fromRevision, signal) {
      const what = `watch ${textOf(ranges)}`;
      const end = new AbortController();
      let breakIt: () => void = () => undefined;
      const broken = new Promise<never>((_, reject) => {
        breakIt = () => reject(failure(what, 'connection lost'));
      });
      broken.catch(() => undefined);
      const stop = (): void => end.abort();
      life.killed.addEventListener('abort', stop, { once: true });
      way.breakers.add(breakIt);
      const wait = <T>(work: Promise<T>): Promise<T> =>
        life.pass(orAbort(Promise.race([work, broken]), signal));
      try {
        await wait(travel(what, async () => undefined));
        const events = kv.watch(ranges, fromRevision, end.signal)[Symbol.asyncIterator]();
        for (;;) {
          const next = await wait(events.next());
          if (next.done === true) return;
          if (random() < weather().brokenWatches) breakIt();
          await wait(clock.sleep(drawDelayMs(random, weather().delayMs)));
          // After so long a silence the transport's own pings give up the connection.
          for (let silentMs = 0; way.state !== 'open'; silentMs += 500) {
            if (silentMs >= LIMITS.datastorePingMs + LIMITS.datastorePingTimeoutMs) breakIt();
            await wait(clock.sleep(500));
          }
          yield next.value satisfies readonly KvEvent[];
        }
      } catch (error) {
        // An aborted watch ends without an error.
        if (!signal.aborted) throw error;
      } finally {
        way.breakers.delete(breakIt);
        life.killed.removeEventListener('abort', stop);
        end.abort();
      }
    },
    async [Symbol.asyncDispose]() {
      await kv[Symbol.asyncDispose]();
    },
  };
}

function textOf(ranges: KvRanges): string {
  return rangesOf(ranges).join(' ');
}
