// A whole node whose lease, datastore or configuration changes.
import { describe, expect, it } from 'vitest';
import { DATASTORE_BACKOFF } from '../../../agent/model/limits.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { CONFIG, type NodeBed, nodeBed, OTHERS, PREFIX, type TestHost } from './node-bed.ts';

const BLOCKS = [4, 5, 6, 7, 8, 9].map((n) => `10.5.${n}.0/24`);

describe('a node that lost its subnet to another one', () => {
  it('a node that lost its subnet withdraws routes and rules, and starts again with another subnet', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const [first, second] = [await start(1), await start(2)];
      expect([first.routes(), second.routes()]).toEqual([['10.5.2.0/24'], ['10.5.1.0/24']]);
      // Nothing is free, so that it stays without a subnet for a while.
      for (const block of BLOCKS)
        await kv.create(`${PREFIX}/subnets/${block.replace('/', '-')}`, OTHERS, undefined);
      const last = await kv.create(`${PREFIX}/subnets/10.5.3.0-24`, OTHERS, undefined);
      const entry = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (entry === undefined || last === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, OTHERS);
      await clock.advance(100);
      expect([first.routes(), first.rules(), first.kernel.print()]).toEqual([[], undefined, '']);
      expect(first.reason()).toMatch(/^another node has our subnet: claiming another one: ./);
      expect(second.routes()).toEqual(['10.5.1.0/24', '10.5.3.0/24', ...BLOCKS]);
      await clock.advance(60_000);
      expect([first.rules(), first.handedOff()]).toEqual([undefined, '10.5.1.0/24']);
      await kv.delete(last);
      await clock.advance(DATASTORE_BACKOFF.maxMs + 100);
      expect(first.reason()).toBe('ready');
      expect(first.handedOff()).toBe('10.5.3.0/24');
      expect(first.routes()).toEqual(['10.5.1.0/24', '10.5.2.0/24', ...BLOCKS]);
      expect(JSON.stringify(first.rules())).toContain('10.5.3.0');
      expect(JSON.stringify(first.rules())).not.toContain('10.5.1.0');
      expect(second.routes()).toEqual(['10.5.1.0/24', '10.5.3.0/24', ...BLOCKS]);
    }));
});

/** Counts the calls that change the host's kernel from now on. */
function countApplies({ kernel }: TestHost): () => number {
  const apply = kernel.apply.bind(kernel);
  let count = 0;
  kernel.apply = (...args) => {
    count++;
    return apply(...args);
  };
  return () => count;
}

describe('a change of a lease', () => {
  it('an idle node applies a lease change at once, and the changes within the pause after it in one pass', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const host = await start(1);
      await clock.advance(1_000);
      const applied = countApplies(host);
      await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, OTHERS, undefined);
      await clock.advance(0);
      expect(host.routes()).toEqual(['10.5.4.0/24']);
      await kv.create(`${PREFIX}/subnets/10.5.5.0-24`, OTHERS, undefined);
      await kv.create(`${PREFIX}/subnets/10.5.6.0-24`, OTHERS, undefined);
      await clock.advance(LIMITS.passPauseMs);
      expect(host.routes()).toEqual(['10.5.4.0/24', '10.5.5.0/24', '10.5.6.0/24']);
      await clock.advance(1_000);
      expect(applied()).toBe(2);
    }));

  it('a lease change is the only event of the store that causes a pass', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const host = await start(1);
      await clock.advance(1_000);
      const applied = countApplies(host);
      await kv.create(`${PREFIX}/subnets/nonsense`, 'x', undefined);
      host.kv.setReachable(false);
      await clock.advance(10_000);
      host.kv.setReachable(true);
      await clock.advance(10_000);
      const entry = await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, OTHERS, undefined);
      await clock.advance(1_000);
      expect(applied()).toBe(1);
      // The same meaning once more.
      if (entry !== undefined) await kv.update(entry, OTHERS.replace('{', '{ '));
      await clock.advance(1_000);
      expect(applied()).toBe(1);
    }));
});

const subnetsBut = (n: number): string[] =>
  [1, 2, 3].filter((each) => each !== n).map((each) => `10.5.${each}.0/24`);

describe('a datastore that has lost everything', () => {
  const gone =
    '3 of 3 leases are gone from the datastore at once: keeping them until the network configuration is back';

  it('nodes keep their routes when the datastore is empty, and claim their subnets again with the configuration', () =>
    nodeBed(async ({ clock, store, kv, start, writeConfig }) => {
      const hosts = [await start(1), await start(2), await start(3)];
      await clock.advance(1_000);
      const before = hosts.map(({ kernel }) => kernel.print());
      expect(hosts.map((host) => host.routes())).toEqual([1, 2, 3].map(subnetsBut));
      store.wipe();
      for (let minute = 0; minute < 10; minute++) {
        await clock.advance(60_000);
        expect(hosts.map(({ kernel }) => kernel.print())).toEqual(before);
      }
      expect((await kv.list(`${PREFIX}/`)).entries).toEqual([]);
      for (const { reason, lines } of hosts) {
        expect(reason()).toBe(gone);
        expect(lines.filter((line) => line.endsWith(gone))).toHaveLength(1);
      }
      await writeConfig(CONFIG);
      await clock.advance(1_000);
      expect(hosts.map(({ kernel }) => kernel.print())).toEqual(before);
      expect(
        (await kv.list(`${PREFIX}/subnets/`)).entries.map(({ key, value }) => [
          key,
          JSON.parse(value ?? '').PublicIP,
        ]),
      ).toEqual([1, 2, 3].map((n) => [`${PREFIX}/subnets/10.5.${n}.0-24`, `192.168.77.${n}`]));
      expect(hosts.map(({ reason }) => reason())).toEqual(['ready', 'ready', 'ready']);
      expect(hosts.map(({ handedOff }) => handedOff())).toEqual([
        '10.5.1.0/24',
        '10.5.2.0/24',
        '10.5.3.0/24',
      ]);
    }));

  it('nodes drop the routes of peers that do not return to an emptied datastore', () =>
    nodeBed(async ({ clock, store, start, writeConfig }) => {
      const hosts = [await start(1), await start(2), await start(3)];
      await clock.advance(1_000);
      hosts[2]?.kv.setReachable(false);
      store.wipe();
      await clock.advance(60_000);
      await writeConfig(CONFIG);
      await clock.advance(LIMITS.vanishedPauseMs - 1_000);
      expect(hosts[0]?.routes()).toEqual(subnetsBut(1));
      await clock.advance(LIMITS.vanishedPauseMs + 2_000);
      expect(hosts[0]?.routes()).toEqual(['10.5.2.0/24']);
      expect(hosts[0]?.reason()).toBe('ready');
      // It is back: it gets the leases of the others, and they get its lease.
      hosts[2]?.kv.setReachable(true);
      await clock.advance(3 * LIMITS.vanishedPauseMs);
      expect(hosts.map((host) => host.routes())).toEqual([1, 2, 3].map(subnetsBut));
    }));

  it('nodes keep their subnets when the datastore was emptied and refilled in another order meanwhile', () =>
    nodeBed(async ({ clock, store, start, writeConfig }) => {
      const hosts = [await start(1), await start(2), await start(3)];
      await clock.advance(1_000);
      for (const { kv } of hosts) kv.setReachable(false);
      store.wipe();
      await writeConfig(CONFIG);
      for (const { kv } of hosts.toReversed()) {
        kv.setReachable(true);
        await clock.advance(2 * DATASTORE_BACKOFF.maxMs);
      }
      await clock.advance(3 * LIMITS.vanishedPauseMs);
      expect(hosts.map(({ handedOff }) => handedOff())).toEqual([
        '10.5.1.0/24',
        '10.5.2.0/24',
        '10.5.3.0/24',
      ]);
      expect(hosts.map((host) => host.routes())).toEqual([1, 2, 3].map(subnetsBut));
      expect(hosts.map(({ reason }) => reason())).toEqual(['ready', 'ready', 'ready']);
    }));
});

describe('a listing without most of the leases', () => {
  /** Seven peers, and a node whose next listings have only so many leases. */
  const withPeers = (
    work: (parts: {
      host: TestHost;
      relist: () => Promise<void>;
      bed: NodeBed;
      show: (count: number) => void;
    }) => Promise<void>,
  ) =>
    nodeBed(async (bed) => {
      const { clock, kv, store, start } = bed;
      for (let n = 2; n <= 8; n++) {
        await kv.create(`${PREFIX}/subnets/10.5.${n}.0-24`, OTHERS.replace('.9"', `.${n}"`), undefined);
      }
      let shown = 99;
      const host = await start(1, (own) => ({
        ...own,
        list: async (...args) => {
          const listing = await own.list(...args);
          const config = listing.entries.filter(({ key }) => key.endsWith('/config'));
          const leases = listing.entries.filter(({ key }) => !key.endsWith('/config'));
          return { ...listing, entries: [...config, ...leases.slice(0, shown)] };
        },
      }));
      await clock.advance(1_000);
      expect(host.routes()).toHaveLength(7);
      const relist = async (): Promise<void> => {
        host.kv.setReachable(false);
        await clock.advance(0);
        await kv.create(`/elsewhere/${clock.monotonicMs()}`, 'x', undefined);
        store.compact();
        host.kv.setReachable(true);
        await clock.advance(1_000);
      };
      await work({
        host,
        relist,
        bed,
        show: (count) => {
          shown = count;
        },
      });
    });

  it('a node keeps all routes when the second listing has the missing leases', () =>
    withPeers(async ({ host, relist, bed, show }) => {
      show(2);
      await relist();
      expect(host.routes()).toHaveLength(7);
      expect(host.reason()).toBe(
        '6 of 8 leases are gone from the datastore at once: keeping them until a second listing confirms it',
      );
      show(99);
      await bed.clock.advance(2 * LIMITS.vanishedPauseMs);
      expect(host.routes()).toHaveLength(7);
      expect(host.reason()).toBe('ready');
    }));

  it('a node drops routes when the second listing confirms the first one', () =>
    withPeers(async ({ host, relist, bed, show }) => {
      show(2);
      await relist();
      await bed.clock.advance(LIMITS.vanishedPauseMs - 2_000);
      expect(host.routes()).toHaveLength(7);
      await bed.clock.advance(LIMITS.vanishedPauseMs);
      expect(host.routes()).toHaveLength(1);
      expect(host.reason()).toBe('ready');
      expect(host.lines).toContain(
        'warn  twill: a second listing of the datastore confirms that leases are gone leases=6',
      );
    }));

  it('a node doubts the second listing when it has lost even more leases', () =>
    withPeers(async ({ host, relist, bed, show }) => {
      show(3);
      await relist();
      show(0);
      await bed.clock.advance(1.5 * LIMITS.vanishedPauseMs);
      expect(host.routes()).toHaveLength(7);
      await bed.clock.advance(1.5 * LIMITS.vanishedPauseMs);
      expect(host.routes()).toHaveLength(0);
    }));

  it('a node believes at once a listing that lacks few leases, or not the most', () =>
    withPeers(async ({ host, relist, show }) => {
      show(4);
      await relist();
      expect(host.routes()).toHaveLength(3);
      expect(host.reason()).toBe('ready');
    }));

  it('a node follows deletions and new leases while it doubts a listing', () =>
    withPeers(async ({ host, relist, bed: { clock, kv }, show }) => {
      show(1);
      await relist();
      const entry = await kv.get(`${PREFIX}/subnets/10.5.8.0-24`);
      if (entry !== undefined) await kv.delete(entry);
      await kv.create(`${PREFIX}/subnets/10.5.9.0-24`, OTHERS, undefined);
      await clock.advance(100);
      expect(host.routes()).toContain('10.5.9.0/24');
      expect(host.routes()).not.toContain('10.5.8.0/24');
      expect(host.routes()).toHaveLength(7);
    }));
});

describe('a network configuration that changed', () => {
  it.each([
    ['while the node was connected', true],
    ['while the connection was lost', false],
  ])('a node reports a changed configuration in the same words: %s', (_, reachable) =>
    nodeBed(async ({ clock, store, start, writeConfig }) => {
      const host = await start(1);
      host.kv.setReachable(reachable);
      await clock.advance(0);
      await writeConfig('{"Network":"10.6.0.0/16"}');
      if (!reachable) store.compact();
      host.kv.setReachable(true);
      await clock.advance(2 * DATASTORE_BACKOFF.maxMs);
      const told = host.lines.filter((line) => line.includes('network configuration'));
      expect(told).toEqual([
        'warn  twill: the network configuration has changed; the new one is used from the next start on',
      ]);
      await writeConfig(CONFIG);
      await clock.advance(100);
      expect(host.lines).toContain('info  twill: the network configuration is the one in use again');
    }),
  );
});
