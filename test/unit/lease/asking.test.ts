// A holder that finds a lease which may be its own: it asks where address, machine and MAC do not say enough.
import { describe, expect, it } from 'vitest';
import { CHALLENGE_WAIT_MS, LEASE_TTL_SECONDS } from '../../../agent/model/limits.ts';
import { prefix } from '../../support/build.ts';
import { type HolderBed, holderBed, type TestNode } from './holder-bed.ts';
import {
  CLONE_MAC,
  inUse,
  KEY,
  OTHER_ID,
  questions,
  revisionOf,
  SELF,
  SUBNET,
  THERE,
  valueOf,
} from './identities.ts';

/** Starts a node beside others. Gives the time until it had its subnet, in milliseconds. */
async function timed({ clock }: HolderBed, { holder }: TestNode, previous?: string): Promise<number> {
  const before = clock.monotonicMs();
  let tookMs = Number.NaN;
  const wanted = previous === undefined ? undefined : { ipv4: prefix(previous) };
  const acquiring = holder.acquire(wanted, new AbortController().signal).then(() => {
    tookMs = clock.monotonicMs() - before;
  });
  await clock.advance(3 * CHALLENGE_WAIT_MS);
  await acquiring;
  return tookMs;
}

describe('a lease at our address', () => {
  it.each([
    ['of another machine: this one was installed anew', { ...SELF, id: OTHER_ID, name: 'h9' }],
    ['of another card: this machine has a new one', { ...SELF, mac: CLONE_MAC }],
  ])('a lease at our address %s, is ours when nobody answers', (_, former) =>
    holderBed(async (all) => {
      await all.write(SUBNET, { ...valueOf(former), Zone: 'a' }, LEASE_TTL_SECONDS);
      const before = await all.kv.get(KEY);
      const self = await all.node(SELF);
      expect(await timed(all, self)).toBe(CHALLENGE_WAIT_MS);
      expect(inUse(self)).toBe(SUBNET);
      const after = await all.kv.get(KEY);
      expect(JSON.parse(after?.value ?? '')).toEqual({ ...valueOf(SELF), Zone: 'a' });
      expect(after?.session).not.toBe(before?.session);
      expect(self.lines).toContainEqual(
        expect.stringMatching(/nobody answered: the lease may be taken over subnet=10\.5\.77\.0\/24/),
      );
    }),
  );

  it.each([
    ['another machine', { ...SELF, id: OTHER_ID, mac: CLONE_MAC, name: 'h9' }],
    ['a clone, as two Vagrant machines of one box at 10.0.2.15 are', { ...SELF, mac: CLONE_MAC }],
  ])('a lease at our address is a conflict that names both when %s lives', (_, first) =>
    holderBed(async (all) => {
      const holder = await all.node(first);
      await holder.start(SUBNET);
      const before = await all.kv.get(KEY);
      const self = await all.node(SELF);
      await expect(self.acquire()).rejects.toMatchObject({
        code: 'conflict',
        message:
          `node ${first.name} (MAC 02:00:00:00:00:09) is alive and has our public address 192.168.77.1: ` +
          'its subnet is 10.5.77.0/24, and we are node h1 (MAC 02:00:00:00:00:01)',
        hint: expect.stringContaining('--public-ip'),
      });
      expect(await all.kv.get(KEY)).toMatchObject({ value: before?.value, session: before?.session });
      expect([holder.changes, inUse(holder), holder.reason()]).toEqual([[], SUBNET, undefined]);
      expect(questions(holder)).toEqual([
        `warn  ${first.name}: node h1 asks whether we are alive: answering mac=02:00:00:00:00:01`,
      ]);
    }),
  );

  it.each([
    ['under another host name, as DHCP may give', { ...SELF, name: 'dhcp-7' }],
    ['from before leases had a MAC', { ...SELF, mac: undefined as unknown as string }],
  ])('a lease at our address %s is ours at once, without a question', (_, former) =>
    holderBed(async (all) => {
      await all.write(SUBNET, valueOf(former), LEASE_TTL_SECONDS);
      const session = (await all.kv.get(KEY))?.session;
      const self = await all.node(SELF);
      expect(await timed(all, self)).toBe(0);
      expect([inUse(self), questions(self)]).toEqual([SUBNET, []]);
      const after = await all.kv.get(KEY);
      expect([JSON.parse(after?.value ?? ''), after?.session]).toEqual([valueOf(SELF), session]);
      const { list, ...requests } = self.counts;
      // The follower of the store lists it again now and then.
      expect(list).toBeGreaterThan(0);
      expect(requests).toEqual({ watch: 1, get: 1, keepAlive: 1, update: 1 });
    }),
  );

  it('a lease at our address is not asked about when another one is surely ours', () =>
    holderBed(async (all) => {
      await all.write('10.5.76.0/24', valueOf({ ...SELF, id: OTHER_ID }), LEASE_TTL_SECONDS);
      await all.write(SUBNET, valueOf(SELF), LEASE_TTL_SECONDS);
      const self = await all.node(SELF);
      expect(await timed(all, self)).toBe(0);
      expect(inUse(self)).toBe(SUBNET);
    }));

  it('a lease at our address is asked about first, and a lease of this machine is taken: its address was another’s', () =>
    holderBed(async (all) => {
      await all.write('10.5.76.0/24', valueOf({ ...SELF, id: OTHER_ID }), LEASE_TTL_SECONDS);
      await all.write(SUBNET, valueOf({ ...SELF, ip: THERE }), LEASE_TTL_SECONDS);
      const self = await all.node(SELF);
      expect(await timed(all, self)).toBe(2 * CHALLENGE_WAIT_MS);
      expect([inUse(self), questions(self).length]).toEqual([SUBNET, 2]);
    }));

  it('a lease at our address of a live node is a conflict although this machine has a lease elsewhere', () =>
    holderBed(async (all) => {
      const holder = await all.node({ ...SELF, mac: CLONE_MAC });
      await holder.start('10.5.76.0/24');
      await all.write(SUBNET, valueOf({ ...SELF, ip: THERE }), LEASE_TTL_SECONDS);
      const self = await all.node(SELF);
      await expect(self.acquire()).rejects.toMatchObject({ code: 'conflict' });
      expect([holder.changes, inUse(holder), inUse(self)]).toEqual([[], '10.5.76.0/24', undefined]);
    }));

  it('a lease at our address whose live holder gets another address meanwhile is no conflict', () =>
    holderBed(async (all) => {
      const holder = await all.node({ ...SELF, id: OTHER_ID, mac: CLONE_MAC });
      await holder.start(SUBNET);
      // DHCP has given it another address, and its old one to us. It hears so in the moment in which it is asked.
      const self = await all.node({
        ...SELF,
        wrapKv: (kv) => ({
          ...kv,
          update: (...args) => {
            holder.holder.announce({ ...holder.attrs, publicIP: { ipv4: THERE } });
            return kv.update(...args);
          },
        }),
      });
      await self.acquire();
      expect([inUse(holder), inUse(self)]).toEqual([SUBNET, expect.not.stringMatching(SUBNET)]);
      expect(self.lines).toContainEqual(
        expect.stringMatching(
          /its holder is alive at another address: the lease is not ours subnet=10\.5\.77/,
        ),
      );
    }));

  it.each([0, 1, 50])(
    'machines whose addresses went round while all were off keep their subnets, starting %i ms apart',
    (apartMs) =>
      holderBed(async (all) => {
        const count = 4;
        const owner = (i: number, addressOf: number) => ({
          ip: `192.168.77.${(addressOf % count) + 1}`,
          id: `00000000000000a${i}`,
          mac: `02:00:00:00:00:0${i}`,
          name: `h${i}`,
          seed: i + 1,
        });
        const numbers = Array.from({ length: count }, (_, i) => i);
        for (const i of numbers) await all.write(`10.5.7${i}.0/24`, valueOf(owner(i, i)), LEASE_TTL_SECONDS);
        const nodes: TestNode[] = [];
        for (const i of numbers) nodes.push(await all.node(owner(i, i + 1)));
        const acquiring = nodes.map(async ({ holder }, i) => {
          await all.clock.sleep(i * apartMs);
          await holder.acquire({ ipv4: prefix(`10.5.7${i}.0/24`) }, new AbortController().signal);
        });
        await all.clock.advance(3 * CHALLENGE_WAIT_MS);
        await Promise.all(acquiring);
        expect(nodes.map(inUse)).toEqual(numbers.map((i) => `10.5.7${i}.0/24`));
      }),
  );

  it('a reservation at our address that another machine left stays a reservation', () =>
    holderBed(async (all) => {
      await all.write(SUBNET, valueOf({ ...SELF, id: OTHER_ID, name: 'h9' }));
      const self = await all.node(SELF);
      expect(await self.start()).toBe(SUBNET);
      expect(questions(self)).toHaveLength(1);
      expect(self.holder.held?.ttlSeconds).toBeUndefined();
      expect(await all.kv.get(KEY)).toMatchObject({
        value: JSON.stringify(valueOf(SELF)),
        session: undefined,
      });
    }));

  it('a lease with a challenge that nobody waits for is ours as any other, and is written without it', () =>
    holderBed(async (all) => {
      await all.write(
        SUBNET,
        { ...valueOf(SELF), Asked: valueOf({ ...SELF, id: OTHER_ID }).Node },
        LEASE_TTL_SECONDS,
      );
      const self = await all.node(SELF);
      expect(await timed(all, self)).toBe(0);
      expect(JSON.parse((await all.kv.get(KEY))?.value ?? '')).toEqual(valueOf(SELF));
    }));
});

describe('a lease of our machine at another address', () => {
  const former = { ...SELF, ip: THERE };

  it('a lease of our machine and MAC is ours when nobody answers: the machine has a new address', () =>
    holderBed(async (all) => {
      await all.write(SUBNET, valueOf(former), LEASE_TTL_SECONDS);
      const self = await all.node(SELF);
      expect(await self.start()).toBe(SUBNET);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));

  it('a lease of our machine and MAC is left alone when its holder lives', () =>
    holderBed(async (all) => {
      const first = await all.node(former);
      await first.start(SUBNET);
      const self = await all.node(SELF);
      expect(await self.start('10.5.78.0/24')).toBe('10.5.78.0/24');
      expect([first.changes, inUse(first)]).toEqual([[], SUBNET]);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.9', '10.5.78.0/24 192.168.77.1']);
      expect(self.lines).toContainEqual(expect.stringContaining('another node has our machine id'));
    }));

  it('the previous subnet is asked about once, and kept: the machine moved to another interface', () =>
    holderBed(async (all) => {
      await all.write(SUBNET, valueOf({ ...former, mac: CLONE_MAC }), LEASE_TTL_SECONDS);
      const self = await all.node(SELF);
      expect(await self.start(SUBNET)).toBe(SUBNET);
      expect(questions(self)).toHaveLength(1);
    }));

  it('the previous subnet is left alone when a clone of this machine lives in it', () =>
    holderBed(async (all) => {
      const first = await all.node({ ...former, mac: CLONE_MAC });
      await first.start(SUBNET);
      const self = await all.node(SELF);
      expect(await self.start(SUBNET)).not.toBe(SUBNET);
      expect([first.changes, inUse(first)]).toEqual([[], SUBNET]);
    }));

  it('the previous subnet is not asked about when it is another machine’s: this one was restored', () =>
    holderBed(async (all) => {
      const first = await all.node({ ...former, id: OTHER_ID });
      await first.start(SUBNET);
      const revision = await revisionOf(all);
      const self = await all.node(SELF);
      expect(await timed(all, self, SUBNET)).toBe(0);
      expect(inUse(self)).not.toBe(SUBNET);
      expect([await revisionOf(all), questions(self), questions(first)]).toEqual([revision, [], []]);
    }));

  it('a search asks two holders at most, the newest lease first', () =>
    holderBed(async (all) => {
      const names = ['c1', 'c2', 'c3', 'c4'];
      const clones: TestNode[] = [];
      for (const [i, name] of names.entries()) {
        // Each starts before it can know the others.
        const clone = await all.node({
          ...SELF,
          ip: `192.168.77.${20 + i}`,
          name,
          id: `000000000000000${i}`,
        });
        await clone.start(`10.5.${20 + i}.0/24`);
        clones.push(clone);
      }
      // Their machine ids become ours, as where an image is copied over.
      for (const [i, clone] of clones.entries()) {
        const node = { id: SELF.id, mac: SELF.mac, name: names[i] ?? '' };
        clone.holder.announce({ ...clone.attrs, node });
        await all.clock.advance(1_000);
      }
      const self = await all.node(SELF);
      expect(await self.start('10.5.78.0/24')).toBe('10.5.78.0/24');
      expect(questions(self).map((line) => /holder=(\w+)/.exec(line)?.[1])).toEqual(['c4', 'c3']);
      expect(clones.map((clone) => questions(clone).length)).toEqual([0, 0, 1, 1]);
    }));
});
