// Leases whose subnets have unequal lengths and overlap: only a store that hands out subnets itself has such.
import { describe, expect, it } from 'vitest';
import { formatHostState } from '../../../agent/model/host-state.ts';
import { formatPrefix, overlaps, type Prefix } from '../../../agent/model/ip.ts';
import { byAge, type Lease } from '../../../agent/model/lease.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { hostFacts, prefix } from '../../support/build.ts';
import { peer } from '../../support/golden-states.ts';
import { type Bed, bed } from './contest-bed.ts';

const ANY = { network: prefix('10.5.0.0/16'), subnetLength: undefined };

/** A lease by the name of its Node. Names of one letter are as old as their place in the alphabet. */
const node = (
  key: string,
  subnet: string,
  created = key.charCodeAt(0),
  address = `192.168.77.${created}`,
): Lease => ({
  ...peer(subnet, address, 'host-gw'),
  key,
  created,
});

const routesOf = ({ planner }: Bed): string[] =>
  [...formatHostState(planner.state()).matchAll(/^route (\S+)/gm)].map(([, subnet = '']) => subnet).sort();

const [whole, half, other] = [node('b', '10.5.2.0/24'), node('c', '10.5.2.128/25'), node('d', '10.5.2.0/25')];

describe('leases with subnets of unequal length', () => {
  it('the oldest has it, whichever came first, the others come in when it goes', async () => {
    for (const leases of [
      [whole, half, other],
      [other, half, whole],
      [half, whole, other],
    ]) {
      const started = await bed('host-gw', leases, ANY);
      const grown = await bed('host-gw', [], ANY);
      for (const lease of leases) grown.put(lease);
      for (const each of [started, grown]) {
        expect(routesOf(each)).toEqual(['10.5.2.0/24']);
        expect(each.reasons().sort()).toEqual([
          '10.5.2.0/25: its subnet 10.5.2.0/25 is in the subnet 10.5.2.0/24 of the lease b: no route leads there',
          '10.5.2.128/25: its subnet 10.5.2.128/25 is in the subnet 10.5.2.0/24 of the lease b: no route leads there',
        ]);
        each.drop(whole);
        expect([routesOf(each), each.reasons()]).toEqual([['10.5.2.0/25', '10.5.2.128/25'], []]);
      }
    }
  });

  it('a subnet that holds older ones waits for the last of them', async () => {
    const late = node('e', '10.5.2.0/23');
    const state = await bed('host-gw', [half, other], ANY);
    state.put(late);
    expect(routesOf(state)).toEqual(['10.5.2.0/25', '10.5.2.128/25']);
    expect(state.reasons()).toEqual([
      '10.5.2.0/23: the subnet 10.5.2.128/25 of the lease c is in the subnet 10.5.2.0/23: no route leads there',
    ]);
    state.drop(half);
    expect(routesOf(state)).toEqual(['10.5.2.0/25']);
    state.drop(other);
    expect([routesOf(state), state.reasons()]).toEqual([['10.5.2.0/23'], []]);
  });

  it('does not take the packets for the address of a host in the network', async () => {
    const host = node('f', '10.5.7.0/24', 50, '10.5.9.200');
    const over = node('g', '10.5.8.0/22', 60);
    const state = await bed('host-gw', [host], ANY);
    state.put(over);
    expect(routesOf(state)).toEqual(['10.5.7.0/24']);
    expect(state.reasons()).toEqual([
      '10.5.8.0/22: the public address of the lease f is in the subnet 10.5.8.0/22: no route leads there',
    ]);
  });

  it('one that overlaps ours is left out', async () => {
    const state = await bed('host-gw', [node('h', '10.5.0.0/20', 5), node('i', '10.5.1.7/32', 6)], ANY);
    expect([routesOf(state), state.reasons().length]).toEqual([[], 2]);
  });

  it('any order of changes ends in the routes of the oldest', async () => {
    const random = seededRandom(7);
    const pick = (below: number): number => Math.floor(random() * below);
    for (let round = 0; round < 40; round++) {
      const state = await bed('host-gw', [], ANY);
      const known = new Map<string, Lease>();
      for (let step = 0; step < 30; step++) {
        const [length, n] = [[22, 23, 24, 25, 26][pick(5)] ?? 24, pick(12)];
        const start = (pick(4) + 4) * 2 ** 10 + (pick(2 ** 10) & -(2 ** (32 - length)) & 1023);
        // A Node has one podCIDR for life: a new one has another name and age.
        const name = `${n}-${step}`;
        const before = [...known.keys()].find((key) => key.startsWith(`${n}-`));
        if (before !== undefined) {
          state.drop(known.get(before) as Lease);
          known.delete(before);
        } else {
          const lease = node(
            name,
            `10.5.${start >> 8}.${start & 255}/${length}`,
            pick(9) * 10 + n,
            `192.168.77.${10 + n}`,
          );
          known.set(name, lease);
          state.put(lease);
        }
        if (pick(10) === 0) state.list(hostFacts({ address: `192.168.77.${200 + pick(2)}` }));
      }
      const taken: Prefix[] = [];
      for (const lease of [...known.values()].sort(byAge)) {
        const { ipv4: subnet } = lease.subnets;
        if (subnet !== undefined && !taken.some((each) => overlaps(each, subnet))) taken.push(subnet);
      }
      expect(routesOf(state)).toEqual(taken.map(formatPrefix).sort());
    }
  });
});
