// Following a resource in virtual time, against a client that does what the test says.
import { describe, expect, it } from 'vitest';
import { type Bell, createBell } from '../../../../agent/base/bell.ts';
import { ApiError, type ApiFailureKind } from '../../../../agent/kubernetes/api/api-error.ts';
import type { ApiClient } from '../../../../agent/kubernetes/api/client.ts';
import { type FollowEvent, follow } from '../../../../agent/kubernetes/api/follow.ts';
import { persist } from '../../../../agent/kubernetes/api/persist.ts';
import { NODES } from '../../../../agent/kubernetes/api/resource.ts';
import type { WatchEvent } from '../../../../agent/kubernetes/api/watch.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../../fakes/virtual-clock.ts';

const fail = (kind: ApiFailureKind, retryAfterMs?: number): ApiError =>
  new ApiError(kind, kind, retryAfterMs === undefined ? {} : { retryAfterMs });

const put = (object: string, version: string): WatchEvent<string> => ({
  type: 'put',
  object,
  resourceVersion: version,
});

/** A watch: events, then its end, or an error, after a time. */
type Watch = {
  readonly events?: readonly WatchEvent<string>[];
  readonly lastsMs?: number;
  readonly error?: ApiError;
};

interface Script {
  readonly list?: () => ApiError | string;
  /** Default: a newer one than all. */
  readonly version?: () => string;
  readonly watch: (version: string) => Watch | ApiError;
}

interface Bed {
  readonly clock: VirtualClock;
  readonly events: FollowEvent<string>[];
  /** Times and requests, such as `0 list` and `0.5 watch 7`. */
  readonly requests: string[];
  readonly hurry: Bell;
  readonly stop: () => Promise<void>;
}

function start({ list = () => '7', version = () => '99', watch }: Script, random = () => 1): Bed {
  const clock = createVirtualClock();
  const hurry = createBell(clock);
  const requests: string[] = [];
  const note = (what: string): number => requests.push(`${clock.monotonicMs() / 1000} ${what}`);
  const client = {
    server: 'https://server',
    async list() {
      note('list');
      const listed = list();
      if (listed instanceof ApiError) throw listed;
      return { items: ['n1'], resourceVersion: listed };
    },
    async version() {
      note('version');
      return version();
    },
    async watch(_resource: unknown, version: string, _read: unknown, signal: AbortSignal) {
      note(`watch ${version}`);
      const script = watch(version);
      if (script instanceof ApiError) throw script;
      return (async function* () {
        yield* script.events ?? [];
        await clock.sleep(script.lastsMs ?? 0, signal);
        if (script.error !== undefined) throw script.error;
      })();
    },
  } as unknown as ApiClient;
  const controller = new AbortController();
  const events: FollowEvent<string>[] = [];
  const running = (async () => {
    const source = follow<string>(
      { client, resource: NODES, read: () => undefined, clock, random, hurry },
      controller.signal,
    );
    for await (const event of source) events.push(event);
  })();
  return {
    clock,
    events,
    requests,
    hurry,
    async stop() {
      controller.abort();
      await clock.settle();
      await running;
    },
  };
}

describe('following a resource', () => {
  it('lists once, and watches on from the last version when a watch ends', async () => {
    const watches: Watch[] = [
      { events: [put('n2', '8'), { type: 'progress', resourceVersion: '12' }], lastsMs: 400_000 },
      { lastsMs: 1_000_000 },
    ];
    const bed = start({ watch: () => watches.shift() as Watch });
    await bed.clock.advance(500_000);
    expect(bed.requests).toEqual(['0 list', '0 watch 7', '400 watch 12']);
    expect(bed.events).toEqual([{ type: 'listed', items: ['n1'], resourceVersion: '7' }, put('n2', '8')]);
    await bed.stop();
  });

  it('backs off from a server that ends each watch at once, and reports no fault', async () => {
    const bed = start({ watch: () => ({}) });
    await bed.clock.advance(600_000);
    expect(bed.requests.length).toBeLessThan(60);
    expect(bed.events.map(({ type }) => type)).toEqual(['listed']);
    await bed.stop();
  });

  it('lists again where the history is gone: at once the first time, then with growing pauses', async () => {
    const bed = start({ watch: () => fail('gone') });
    await bed.clock.advance(10_000);
    const lists = bed.requests.filter((request) => request.endsWith('list'));
    expect(lists).toEqual(['0 list', '0 list', '1 list', '3 list', '7 list']);
    await bed.stop();
  });

  it('lists again where a long watch says that the history is gone', async () => {
    const watches: Watch[] = [{ lastsMs: 60_000, error: fail('gone') }, { lastsMs: 1_000_000 }];
    const bed = start({ watch: () => watches.shift() as Watch });
    await bed.clock.advance(70_000);
    expect(bed.requests).toEqual(['0 list', '0 watch 7', '60 list', '60 watch 7']);
    expect(bed.events.map(({ type }) => type)).toEqual(['listed', 'listed']);
    await bed.stop();
  });

  it.each(['busy', 'unreachable', 'forbidden', 'unauthorized', 'unreadable'] as const)(
    'keeps its version while a watch fails as %s, with few requests',
    async (kind) => {
      let isBroken = true;
      const bed = start({ watch: () => (isBroken ? fail(kind) : { lastsMs: 400_000 }) }, seededRandom(1));
      await bed.clock.advance(600_000);
      expect(bed.requests.length).toBeGreaterThan(20);
      expect(bed.requests.length).toBeLessThan(80);
      expect(bed.requests.filter((request) => request.endsWith('watch 7')).length).toBeGreaterThan(15);
      isBroken = false;
      await bed.clock.advance(31_000);
      expect(bed.events.at(-1)?.type).toBe('connected');
      expect(bed.events.filter(({ type }) => type === 'disconnected').length).toBeGreaterThan(15);
      await bed.stop();
    },
  );

  it('lists again where the store has an older version after a watch broke: it was restored', async () => {
    const watches: Watch[] = [{ lastsMs: 10_000, error: fail('unreachable') }, { lastsMs: 400_000 }];
    const versions = ['9', '5'];
    const bed = start({
      list: () => versions.shift() ?? '',
      version: () => '5',
      watch: () => watches.shift() as Watch,
    });
    await bed.clock.advance(30_000);
    expect(bed.requests).toEqual(['0 list', '0 watch 9', '10.5 version', '10.5 list', '10.5 watch 5']);
    await bed.stop();
  });

  it('lists again where a watch is refused as it is', async () => {
    const bed = start({ watch: (from) => (from === '7' ? fail('rejected') : { lastsMs: 400_000 }) });
    await bed.clock.advance(3_000);
    expect(bed.requests).toEqual([
      '0 list',
      '0 watch 7',
      '0.5 list',
      '0.5 watch 7',
      '1.5 list',
      '1.5 watch 7',
    ]);
    await bed.stop();
  });

  it('waits as long as a busy server asks, and longer by chance', async () => {
    const outcomes = [fail('busy', 20_000), fail('busy', 20_000), '7'];
    const bed = start(
      { list: () => outcomes.shift() ?? '7', watch: () => ({ lastsMs: 400_000 }) },
      () => 0.5,
    );
    await bed.clock.advance(60_000);
    expect(bed.requests).toEqual(['0 list', '25 list', '50 list', '50 watch 7']);
    expect(bed.events.map(({ type }) => type)).toEqual([
      'disconnected',
      'disconnected',
      'connected',
      'listed',
    ]);
    await bed.stop();
  });

  it('waits no longer for its next attempt when the network of the host has changed', async () => {
    const bed = start({ list: () => fail('unreachable'), watch: () => ({}) });
    await bed.clock.advance(40_000);
    const before = bed.requests.length;
    bed.hurry.ring();
    await bed.clock.settle();
    expect(bed.requests.slice(before)).toEqual(['40 list']);
    await bed.stop();
  });

  it('takes a connection up again at once that was given up here', async () => {
    const watches: Watch[] = [{ lastsMs: 10_000, error: fail('given-up') }, { lastsMs: 400_000 }];
    const bed = start({ watch: () => watches.shift() as Watch });
    await bed.clock.advance(20_000);
    expect(bed.requests).toEqual(['0 list', '0 watch 7', '10 version', '10 watch 7']);
    expect(bed.events.map(({ type }) => type)).toEqual(['listed']);
    await bed.stop();
  });

  it('resumes from the last version after a watch that broke between events', async () => {
    const watches: Watch[] = [
      { events: [put('n2', '8'), put('n3', '9')], error: fail('unreachable') },
      { lastsMs: 400_000 },
    ];
    const bed = start({ watch: () => watches.shift() as Watch });
    await bed.clock.advance(20_000);
    expect(bed.requests).toEqual(['0 list', '0 watch 7', '0.5 version', '0.5 watch 9']);
    await bed.stop();
  });
});

describe('persisting', () => {
  it('repeats a call until it succeeds, with the pauses that the server asks for', async () => {
    const clock = createVirtualClock();
    const times: number[] = [];
    const failures = [fail('unreachable'), fail('busy', 10_000), fail('forbidden')];
    const seen: string[] = [];
    const done = persist(
      {
        clock,
        random: () => 0,
        async attempt() {
          times.push(clock.monotonicMs());
          const error = failures.shift();
          if (error !== undefined) throw error;
          return 'done';
        },
        onFailure: ({ kind }) => void seen.push(kind),
      },
      new AbortController().signal,
    );
    await clock.advance(60_000);
    expect(await done).toBe('done');
    expect(times).toEqual([0, 250, 10_250, 11_250]);
    expect(seen).toEqual(['unreachable', 'busy', 'forbidden']);
  });

  it('ends with an error of the program itself', async () => {
    const attempt = () => Promise.reject(new TypeError('a bug'));
    const deps = { clock: createVirtualClock(), random: () => 0, onFailure: () => undefined };
    await expect(persist({ ...deps, attempt }, new AbortController().signal)).rejects.toThrow('a bug');
  });
});
