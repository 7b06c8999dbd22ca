// A holder that gets its lease: its own, the previous subnet, or any.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/lease/limits.ts';
import { LEASE_TTL_SECONDS } from '../../../agent/model/limits.ts';
import { DAY_MS, FLANNELS, holderBed, PREFIX } from './holder-bed.ts';

const H1 = { ID: '00000000000000aa', Name: 'h1' };
const FOUR = { SubnetMin: '10.5.10.0', SubnetMax: '10.5.13.0' };

describe('claiming a lease', () => {
  it('a holder claims the previous subnet, and otherwise a random one', () =>
    holderBed(async ({ node, leases }) => {
      expect(await (await node()).start('10.5.77.0/24')).toBe('10.5.77.0/24');
      const other = await (await node({ ip: '192.168.77.2', name: 'h2' })).start('10.5.77.0/24');
      expect(other).not.toBe('10.5.77.0/24');
      expect((await leases()).sort()).toEqual(['10.5.77.0/24 192.168.77.1', `${other} 192.168.77.2`].sort());
    }));

  it('a holder keeps its own lease with any previous subnet', () =>
    holderBed(async ({ node, leases, clock }) => {
      const first = await node();
      await first.start('10.5.77.0/24');
      await first.stop();
      await clock.advance(DAY_MS / 2);
      const again = await node();
      expect(await again.start('10.5.78.0/24')).toBe('10.5.77.0/24');
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      // Its time begins anew.
      await clock.advance(DAY_MS / 2 + 60_000);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));

  it('a holder adopts a lease of flannel at its address, and adds its identity', () =>
    holderBed(async ({ node, write, kv }) => {
      await write('10.5.77.0/24', { ...FLANNELS, Zone: 'a' }, LEASE_TTL_SECONDS);
      expect(await (await node()).start()).toBe('10.5.77.0/24');
      expect((await kv.get(`${PREFIX}/subnets/10.5.77.0-24`))?.value).toBe(
        JSON.stringify({ ...FLANNELS, Node: H1, Zone: 'a' }),
      );
    }));

  it('a holder keeps a reservation as one, also outside of the range', () =>
    holderBed(async ({ node, write, leases, clock }) => {
      await write('10.5.77.0/24', FLANNELS);
      const self = await node({ fields: FOUR });
      expect(await self.start('10.5.10.0/24')).toBe('10.5.77.0/24');
      expect(self.holder.held?.ttlSeconds).toBeUndefined();
      await clock.advance(3 * DAY_MS);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.1 reserved']);
      expect(self.changes).toEqual([]);
    }));

  it('a holder gives back a lease that no longer fits the configuration', () =>
    holderBed(async ({ node, write, leases }) => {
      await write('10.5.77.0/24', { ...FLANNELS, Node: H1 }, LEASE_TTL_SECONDS);
      const self = await node({ fields: FOUR });
      const subnet = await self.start('10.5.11.0/24');
      expect(await leases()).toEqual([`${subnet} 192.168.77.1`]);
      expect(self.lines).toContainEqual(expect.stringMatching(/does not fit .* subnet=10\.5\.77\.0\/24$/));
    }));

  it('a holder tries another subnet at once when another node was faster', () =>
    holderBed(async ({ node, leases, clock }) => {
      // All choose from the same leases, with the same random numbers.
      const nodes = await Promise.all(
        Array.from({ length: 4 }, (_, i) =>
          node({ ip: `192.168.77.${i + 1}`, name: `h${i}`, fields: FOUR, seed: 7 }),
        ),
      );
      const before = clock.monotonicMs();
      const acquiring = Promise.all(
        nodes.map(({ holder }) => holder.acquire(undefined, new AbortController().signal)),
      );
      await acquiring;
      expect(new Set(nodes.map(({ holder }) => holder.held?.lease.key)).size).toBe(4);
      expect(clock.monotonicMs()).toBe(before);
      expect(await leases()).toHaveLength(4);
      expect(nodes.flatMap(({ lines }) => lines).join('\n')).toContain('lost the race for a subnet');
    }));

  it('a holder claims a subnet that overlaps no lease of another length, or the one that it had', () =>
    holderBed(async ({ node, write }) => {
      await write('10.5.8.0/22', { ...FLANNELS, PublicIP: '192.168.77.9' }, LEASE_TTL_SECONDS);
      const self = await node({ fields: { SubnetMin: '10.5.9.0', SubnetMax: '10.5.12.0' } });
      expect(await self.start()).toBe('10.5.12.0/24');
      const other = await node({
        ip: '192.168.77.2',
        id: '00000000000000bb',
        fields: { SubnetMin: '10.5.9.0', SubnetMax: '10.5.12.0' },
      });
      expect(await other.start('10.5.9.0/24')).toBe('10.5.9.0/24');
    }));

  it('a holder names the other holders when no subnet is free', () =>
    holderBed(async ({ node, write }) => {
      for (const n of [10, 11, 12, 13]) {
        await write(`10.5.${n}.0/24`, { ...FLANNELS, PublicIP: `192.168.77.${n}` }, LEASE_TTL_SECONDS);
      }
      const self = await node({ fields: FOUR });
      await expect(self.acquire()).rejects.toMatchObject({
        code: 'exhausted',
        message:
          'all 4 subnets from 10.5.10.0 to 10.5.13.0/24 are taken: 10.5.10.0/24 by 192.168.77.10, 10.5.11.0/24 by 192.168.77.11, 10.5.12.0/24 by 192.168.77.12, 10.5.13.0/24 by 192.168.77.13',
        hint: 'enlarge Network or SubnetMax, or delete leases of nodes that are gone',
      });
    }));

  it('a holder that lost many races does not call the network full', () =>
    holderBed(async ({ node }) => {
      let claims = 0;
      const self = await node({
        wrap: (store) => ({
          ...store,
          claim: async () => {
            claims++;
            return undefined;
          },
        }),
      });
      await expect(self.acquire()).rejects.toMatchObject({ code: 'datastore' });
      expect(claims).toBe(LIMITS.claimAttempts);
    }));
});
