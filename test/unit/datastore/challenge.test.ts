import { describe, expect, it } from 'vitest';
import { askHolder } from '../../../agent/datastore/challenge.ts';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import type { Kv, KvEntry } from '../../../agent/model/kv.ts';
import {
  formatLeaseValue,
  type Lease,
  type LeaseAttrs,
  type NodeIdentity,
} from '../../../agent/model/lease.ts';
import type { ChallengeAnswer } from '../../../agent/model/lease-store.ts';
import { createMemoryStore, type MemoryKv, type MemoryStore } from '../../fakes/memory-kv.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { lease, leaseAttrs } from '../../support/build.ts';

const WAIT_MS = 3_000;
const KEY = '/network/subnets/10.5.1.0-24';

const identity = (n: number): NodeIdentity => ({
  id: n.toString(16).padStart(16, '0'),
  mac: `02:00:00:00:00:0${n}`,
  name: `node-${n}`,
});
const HOLDER = leaseAttrs('192.168.77.1', { node: identity(1), extra: { Zone: 'a' } });
const ASKER = identity(2);

interface Bed {
  readonly clock: VirtualClock;
  readonly memory: MemoryStore;
  readonly kv: MemoryKv;
  /** The lease that is asked about, as its holder wrote it. */
  readonly known: Lease;
  /** The asker's answer, and the time until it came. */
  readonly ask: (
    kv?: Kv,
    by?: NodeIdentity,
  ) => Promise<{ readonly answer: ChallengeAnswer; readonly tookMs: number }>;
  /** Writes the lease after `afterMs`, in its session if `session` is not given. */
  readonly write: (
    afterMs: number,
    attrs: LeaseAttrs,
    asked?: NodeIdentity,
    session?: string,
  ) => Promise<void>;
  readonly entry: () => Promise<KvEntry>;
}

async function bed(work: (bed: Bed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const kv = memory.open();
  const session = await kv.openSession(86_400);
  const made = await kv.create(KEY, formatLeaseValue(HOLDER), session);
  const known = lease('10.5.1.0/24', HOLDER, { session, revision: made?.revision ?? 0 });
  const entry = async (): Promise<KvEntry> => {
    const found = await kv.get(KEY);
    if (found === undefined) throw new Error('no lease');
    return found;
  };
  await work({
    clock,
    memory,
    kv,
    known,
    entry,
    async ask(over = kv, by = ASKER) {
      const keys = createLeaseKeys('/network');
      const startMs = clock.monotonicMs();
      const answer = await askHolder(over, keys, clock, { lease: known, by, waitMs: WAIT_MS });
      return { answer, tookMs: clock.monotonicMs() - startMs };
    },
    async write(afterMs, attrs, asked, other) {
      await clock.sleep(afterMs);
      const now = await entry();
      await kv.update({ ...now, session: other ?? now.session }, formatLeaseValue(attrs, asked));
    },
  });
  await kv[Symbol.asyncDispose]();
}

/** Lets a question and the writes beside it end. */
async function settle<T>(
  { clock }: Bed,
  asking: Promise<T>,
  ...writes: readonly Promise<void>[]
): Promise<T> {
  asking.catch(() => undefined);
  await clock.advance(3 * WAIT_MS);
  await Promise.all(writes);
  return await asking;
}

describe('a challenge', () => {
  it('a challenge is a field of the lease, which keeps its session and all else', () =>
    bed(async (all) => {
      const asking = all.ask();
      await all.clock.advance(0);
      const { value, session } = await all.entry();
      expect(JSON.parse(value ?? '')).toEqual({
        ...JSON.parse(formatLeaseValue(HOLDER)),
        Asked: { ID: ASKER.id, MAC: ASKER.mac, Name: ASKER.name },
      });
      expect(session).toBe(all.known.session);
      const { answer, tookMs } = await settle(all, asking);
      const { revision } = await all.entry();
      expect(answer).toEqual({ kind: 'silent', lease: { ...all.known, revision, asked: ASKER } });
      expect(tookMs).toBe(WAIT_MS);
    }));

  it('a challenge needs no right beyond the leases', () =>
    bed(async (all) => {
      const asked: string[] = [];
      const recording = new Proxy<Kv>(all.kv, {
        get: (target, name: keyof Kv) => {
          const method = target[name] as (...args: unknown[]) => unknown;
          return (...args: unknown[]) => {
            const [what] = args;
            asked.push(`${String(name)} ${typeof what === 'string' ? what : (what as KvEntry).key}`);
            return method.apply(target, args);
          };
        },
      });
      await settle(all, all.ask(recording));
      expect(asked).toEqual([`get ${KEY}`, `update ${KEY}`, `watch ${KEY}`, `get ${KEY}`]);
    }));

  it.each<[string, LeaseAttrs, string]>([
    ['as it was', HOLDER, 'alive'],
    ['at another address', { ...HOLDER, publicIP: { ipv4: '192.168.77.5' } }, 'elsewhere'],
    ['under another host name', { ...HOLDER, node: { ...identity(1), name: 'dhcp-7' } }, 'alive'],
  ])('a challenge is answered when its holder writes the lease %s', (_, attrs, kind) =>
    bed(async (all) => {
      expect(await settle(all, all.ask(), all.write(1_000, attrs))).toEqual({
        answer: { kind },
        tookMs: 1_000,
      });
    }),
  );

  it.each<[string, LeaseAttrs]>([
    ['another node', leaseAttrs('192.168.77.1', { node: identity(3) })],
    ['a clone of the holder', { ...HOLDER, node: { ...identity(1), mac: '02:00:00:00:00:09' } }],
    ['flannel', leaseAttrs('192.168.77.1')],
  ])('a challenge is over when %s takes the lease', (_, attrs) =>
    bed(async (all) => {
      const session = await all.kv.openSession(60);
      expect(await settle(all, all.ask(), all.write(1_000, attrs, undefined, session))).toEqual({
        answer: { kind: 'changed' },
        tookMs: 1_000,
      });
    }),
  );

  it('a challenge is over when the lease ends or its value is none', async () => {
    await bed(async (all) => {
      const ending = all.clock.sleep(1_000).then(() => all.kv.closeSession(all.known.session ?? ''));
      const outcome = { answer: { kind: 'changed' }, tookMs: 1_000 };
      expect(await settle(all, all.ask(), ending)).toEqual(outcome);
      expect(await settle(all, all.ask())).toEqual({ ...outcome, tookMs: 0 });
    });
    await bed(async (all) => {
      const garbage = async (): Promise<void> => {
        await all.clock.sleep(1_000);
        await all.kv.update(await all.entry(), 'x');
      };
      expect((await settle(all, all.ask(), garbage())).answer).toEqual({ kind: 'changed' });
    });
  });

  it('a challenge is not written over a lease that is no more as it is known', () =>
    bed(async (all) => {
      await all.kv.update(
        await all.entry(),
        formatLeaseValue(leaseAttrs('192.168.77.1', { node: identity(3) })),
      );
      const before = await all.entry();
      expect((await settle(all, all.ask())).answer).toEqual({ kind: 'changed' });
      expect(await all.entry()).toEqual(before);
    }));

  it('a challenge is written again when another one came between', () =>
    bed(async (all) => {
      let races = 0;
      const racing: Kv = {
        ...all.kv,
        async update(entry, value) {
          if (races++ < 3) await all.kv.update(entry, formatLeaseValue(HOLDER, identity(races + 2)));
          return all.kv.update(entry, value);
        },
      };
      expect((await settle(all, all.ask(racing))).answer).toMatchObject({
        kind: 'silent',
        lease: { asked: ASKER },
      });
      expect(races).toBe(4);
    }));

  it('challenges of two nodes stand beside each other: the lease as it stands in the end is the one to take', () =>
    bed(async (all) => {
      const first = all.ask();
      const second = all.clock.sleep(1_000).then(() => all.ask(all.kv, identity(3)));
      const outcome = await settle(all, first);
      expect(outcome.tookMs).toBe(WAIT_MS);
      const { revision } = await all.entry();
      const silent = { kind: 'silent', lease: { ...all.known, revision, asked: identity(3) } };
      expect(outcome.answer).toEqual(silent);
      expect(await second).toEqual({ answer: silent, tookMs: WAIT_MS });
    }));

  it('a challenge tells that the holder asks about its own lease: it is back at another address', () =>
    bed(async (all) => {
      const back = all.clock.sleep(1_000).then(() => all.ask(all.kv, identity(1)));
      expect(await settle(all, all.ask())).toEqual({ answer: { kind: 'elsewhere' }, tookMs: 1_000 });
      expect(await back).toMatchObject({ answer: { kind: 'silent' }, tookMs: WAIT_MS });
    }));

  it('an answer counts although another node asks right after it', () =>
    bed(async (all) => {
      const again = async (): Promise<void> => {
        await all.write(1_000, HOLDER);
        await all.write(0, HOLDER, identity(3));
      };
      expect((await settle(all, all.ask(), again())).answer).toEqual({ kind: 'alive' });
    }));

  it('a challenge of a reservation leaves it one', () =>
    bed(async (all) => {
      const { value } = await all.entry();
      await all.kv.update({ ...(await all.entry()), session: undefined }, value ?? '');
      const known = { ...all.known, session: undefined };
      const asking = askHolder(all.kv, createLeaseKeys('/network'), all.clock, {
        lease: known,
        by: ASKER,
        waitMs: WAIT_MS,
      });
      expect(await settle(all, asking)).toMatchObject({ kind: 'silent', lease: { session: undefined } });
      expect((await all.entry()).session).toBeUndefined();
    }));

  it('a challenge fails when the datastore is lost meanwhile: the holder may have been cut off too', () =>
    bed(async (all) => {
      const asking = all.ask();
      asking.catch(() => undefined);
      await all.clock.advance(1_000);
      all.kv.setReachable(false);
      await all.clock.advance(1_000);
      all.kv.setReachable(true);
      await expect(settle(all, asking)).rejects.toMatchObject({ code: 'datastore' });
    }));

  it('a challenge ends with the node that asks', () =>
    bed(async (all) => {
      const stop = new AbortController();
      const keys = createLeaseKeys('/network');
      const asked = { lease: all.known, by: ASKER, waitMs: WAIT_MS };
      const asking = askHolder(all.kv, keys, all.clock, asked, stop.signal);
      asking.catch(() => undefined);
      await all.clock.advance(1_000);
      stop.abort();
      await expect(settle(all, asking)).rejects.toThrow();
    }));
});

/** A store whose history is compacted between the question and the watch. */
function compacted({ memory, kv }: Bed): Kv {
  return {
    ...kv,
    async update(entry, value) {
      const written = await kv.update(entry, value);
      await kv.create('/something/else', 'x', undefined);
      memory.compact();
      return written;
    },
  };
}

describe('a challenge with a lost history', () => {
  it('a challenge with a lost history is answered if the holder answers within its time', () =>
    bed(async (all) => {
      const { answer } = await settle(all, all.ask(compacted(all)), all.write(1_000, HOLDER));
      expect(answer).toEqual({ kind: 'alive' });
    }));

  it('a challenge with a lost history is unanswered only after the full time', () =>
    bed(async (all) => {
      expect(await settle(all, all.ask(compacted(all)))).toMatchObject({
        answer: { kind: 'silent' },
        tookMs: WAIT_MS,
      });
    }));

  it('a challenge with a lost history is not unanswered where a later challenge may hide the answer', () =>
    bed(async (all) => {
      const { answer } = await settle(all, all.ask(compacted(all)), all.write(1_000, HOLDER, identity(3)));
      expect(answer).toEqual({ kind: 'changed' });
    }));
});
