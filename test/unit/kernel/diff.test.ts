import { describe, expect, it } from 'vitest';
import { diff, formatChange } from '../../../agent/kernel/diff.ts';
import {
  formatHostState,
  type HostObject,
  type HostState,
  keyOf,
  linkOf,
  recognize,
} from '../../../agent/model/host-state.ts';
import { hostState } from '../../fakes/host-text.ts';
import { createMemoryKernel } from '../../fakes/memory-kernel.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { goldenStates } from '../../support/golden-states.ts';

const LINK =
  'link vxlan flannel.1 vni 1 port 8472 mtu 1450 mac 02:00:00:00:00:01 local 10.0.0.1 dev eth0 nolearning';
const TUN = 'link tun flannel0 mtu 1472';
const ADDR = 'addr 10.5.1.0/32 dev flannel.1';
const NEIGH = 'neigh 10.5.2.0 lladdr 02:00:00:00:00:02 dev flannel.1';
const FDB = 'fdb 02:00:00:00:00:02 dst 10.0.0.2 dev flannel.1';
const ROUTE = 'route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink';
const DIRECT = 'route 10.5.2.0/24 via 10.0.0.2 dev eth0';
const HOLE = 'route blackhole 10.5.1.0/24';
const ALL = [LINK, ADDR, NEIGH, FDB, ROUTE];

const lines = (...parts: readonly string[]): HostState => hostState(parts.join('\n'));
const steps = (desired: HostState, actual: HostState): string[] => diff(desired, actual).map(formatChange);
const added = (...parts: readonly string[]): string[] => parts.map((line) => `+ ${line}`);

interface Case {
  readonly title: string;
  readonly actual: readonly string[];
  readonly desired: readonly string[];
  readonly changes: readonly string[];
}

const CASES: readonly Case[] = [
  { title: 'equal states: no change', actual: ALL, desired: ALL, changes: [] },
  { title: 'equal states in another order: no change', actual: ALL, desired: ALL.toReversed(), changes: [] },
  {
    title: 'objects are made after those that they need',
    actual: [],
    desired: ALL.toReversed(),
    changes: added(...ALL),
  },
  {
    title: 'entries go with their link',
    actual: [...ALL, HOLE],
    desired: [],
    changes: [`- ${HOLE}`, `- ${LINK}`],
  },
  {
    title: 'entries on a link that stays go in the opposite order',
    actual: ALL,
    desired: [LINK, ADDR],
    changes: [`- ${ROUTE}`, `- ${FDB}`, `- ${NEIGH}`],
  },
  {
    title: 'a new address comes before the old one goes, and routes come after that',
    actual: ALL,
    desired: [LINK, 'addr 10.5.9.0/32 dev flannel.1', NEIGH, FDB, ROUTE, HOLE],
    changes: ['+ addr 10.5.9.0/32 dev flannel.1', `- ${ADDR}`, `+ ${HOLE}`],
  },
  {
    title: 'a route is replaced where it stands',
    actual: [...ALL, HOLE],
    desired: [LINK, ADDR, DIRECT, HOLE],
    changes: [`- ${FDB}`, `- ${NEIGH}`, `~ ${DIRECT}`],
  },
  {
    title: 'a peer with another MAC: its neighbour is replaced, its forwarding entry is another one',
    actual: ALL,
    desired: ALL.map((line) => line.replaceAll('00:00:02', '00:00:12')),
    changes: [
      `- ${FDB}`,
      '~ neigh 10.5.2.0 lladdr 02:00:00:00:00:12 dev flannel.1',
      '+ fdb 02:00:00:00:00:12 dst 10.0.0.2 dev flannel.1',
    ],
  },
  {
    title: 'a peer that moved: only its forwarding entry',
    actual: ALL,
    desired: ALL.map((line) => line.replace('dst 10.0.0.2', 'dst 10.0.0.22')),
    changes: ['~ fdb 02:00:00:00:00:02 dst 10.0.0.22 dev flannel.1'],
  },
  {
    title: 'another MTU: the link is altered, its entries stay',
    actual: ALL,
    desired: [LINK.replace('mtu 1450', 'mtu 1350'), ...ALL.slice(1)],
    changes: [`~ ${LINK.replace('mtu 1450', 'mtu 1350')}`],
  },
  {
    title: 'a link that is down is brought up',
    actual: [`${LINK} down`, ADDR, NEIGH, FDB],
    desired: ALL,
    changes: [`~ ${LINK}`, `+ ${ROUTE}`],
  },
  {
    title: 'another MAC of our own: Linux forgets the neighbours of the link, and they are made again',
    actual: ALL,
    desired: [LINK.replace('00:00:01', '00:00:0f'), ...ALL.slice(1)],
    changes: [`~ ${LINK.replace('00:00:01', '00:00:0f')}`, `+ ${NEIGH}`],
  },
  {
    title: 'another MTU of a TUN device: the link is altered, its entries stay',
    actual: [TUN, 'addr 10.5.1.0/32 dev flannel0'],
    desired: [TUN.replace('1472', '1372'), 'addr 10.5.1.0/32 dev flannel0'],
    changes: [`~ ${TUN.replace('1472', '1372')}`],
  },
  {
    title: 'another type of link under one name: the link is made anew with its entries',
    actual: [TUN, 'addr 10.5.1.0/32 dev flannel0'],
    desired: [LINK.replace('flannel.1', 'flannel0'), 'addr 10.5.1.0/32 dev flannel0'],
    changes: [`~ ${LINK.replace('flannel.1', 'flannel0')}`, '+ addr 10.5.1.0/32 dev flannel0'],
  },
  {
    title: 'another port: the link is made anew with its entries, and none of them is deleted first',
    actual: ALL,
    desired: [LINK.replace('8472', '4789'), ...ALL.slice(1)],
    changes: [`~ ${LINK.replace('8472', '4789')}`, ...added(...ALL.slice(1))],
  },
  {
    title: 'a link is made anew with fewer entries',
    actual: [...ALL, 'fdb 02:00:00:00:00:03 dst 10.0.0.3 dev flannel.1', DIRECT.replace('5.2', '5.3')],
    desired: [LINK.replace('nolearning', 'learning'), ADDR],
    changes: [
      `- ${DIRECT.replace('5.2', '5.3')}`,
      `~ ${LINK.replace('nolearning', 'learning')}`,
      `+ ${ADDR}`,
    ],
  },
  {
    title: 'another VNI: the old link goes before the new one comes',
    actual: [LINK, ADDR],
    desired: [LINK, ADDR].map((line) =>
      line.replace('flannel.1 vni 1', 'flannel.7 vni 7').replace(/\.1$/, '.7'),
    ),
    changes: [
      `- ${LINK}`,
      `+ ${LINK.replace('flannel.1 vni 1', 'flannel.7 vni 7')}`,
      '+ addr 10.5.1.0/32 dev flannel.7',
    ],
  },
  {
    title: 'a route leaves a link that goes: it is added, since the old one goes with the link',
    actual: ALL,
    desired: [DIRECT],
    changes: [`- ${LINK}`, `+ ${DIRECT}`],
  },
  {
    title: 'several of one key: the wanted one is kept',
    actual: [...ALL, DIRECT, DIRECT.replace('10.0.0.2', '10.0.0.9')],
    desired: ALL,
    changes: [`- ${DIRECT}`, `- ${DIRECT.replace('10.0.0.2', '10.0.0.9')}`],
  },
  {
    title: 'several of one key, none as wanted: one is replaced, the others go',
    actual: [DIRECT.replace('10.0.0.2', '10.0.0.8'), DIRECT.replace('10.0.0.2', '10.0.0.9')],
    desired: [DIRECT],
    changes: [`- ${DIRECT.replace('10.0.0.2', '10.0.0.9')}`, `~ ${DIRECT}`],
  },
  {
    title: 'several of one unwanted key: all go',
    actual: [DIRECT, DIRECT.replace('10.0.0.2', '10.0.0.9')],
    desired: [],
    changes: [`- ${DIRECT}`, `- ${DIRECT.replace('10.0.0.2', '10.0.0.9')}`],
  },
  {
    title: 'a blackhole beside a route to the same place is another object',
    actual: [DIRECT],
    desired: [DIRECT, HOLE.replace('5.1', '5.2')],
    changes: [`+ ${HOLE.replace('5.1', '5.2')}`],
  },
];

describe('diff', () => {
  it.each(CASES.map((row) => [row.title, row] as const))('diff: %s', (_, { actual, desired, changes }) => {
    expect(steps(lines(...desired), lines(...actual))).toEqual(changes);
  });

  it('the diff of a state and itself is empty, in any order', async () => {
    for (const [name, state] of await goldenStates()) {
      expect(steps(state, state), name).toEqual([]);
      expect(steps(state, [...state].reverse()), name).toEqual([]);
    }
  });

  it('the diff of any two states, applied to the first, gives the second', async () => {
    const seed = Number(process.env['TWILL_SEED'] ?? Date.now() % 1_000_000);
    const random = seededRandom(seed);
    const golden = [...(await goldenStates()).values()];
    const world = golden.flat();
    const some = (): HostState =>
      consistent(
        world.filter(() => random() < 0.3),
        random,
      );
    const pick = (): HostState =>
      random() < 0.3
        ? some()
        : consistent(mutate(golden[Math.floor(random() * golden.length)] ?? [], random), random);
    for (let round = 0; round < 600; round++) {
      // A desired link is always up.
      const desired = pick().map((object) => (object.kind === 'link' ? { ...object, up: true } : object));
      const actual = pick();
      const shown = `TWILL_SEED=${seed}, round ${round}, from\n${formatHostState(actual)}to\n${formatHostState(desired)}`;
      const kernel = createMemoryKernel({ name: 'eth0', prefix: '192.168.77.0/24' });
      for (const object of actual) kernel.intrude(object);
      const changes = diff(desired, await kernel.read());
      // Sharing objects between the two states makes no difference.
      const wanted = new Map(desired.map((object) => [keyOf(object), object]));
      const seen = actual.map((object) => (random() < 0.7 ? recognize(wanted, object) : object));
      expect(steps(desired, seen), shown).toEqual(changes.map(formatChange));
      expect(await kernel.apply(changes), shown).toEqual([]);
      expect(kernel.print(), shown).toBe(formatHostState(desired));
      expect(steps(desired, await kernel.read()), shown).toEqual([]);
    }
  });
});

// A possible state: each key once, each entry with its link.
function consistent(objects: HostState, random: () => number): HostState {
  const byKey = new Map(
    objects
      .map((object) => ({ object, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ object }) => [keyOf(object), object]),
  );
  return [...byKey.values()].filter((object) => {
    const link = linkOf(object);
    return link === undefined || link === 'eth0' || byKey.has(`link ${link}`);
  });
}

function mutate(state: HostState, random: () => number): HostState {
  return state.flatMap((object): HostObject[] => {
    if (random() < 0.2) return [];
    if (random() < 0.7) return [object];
    const n = Math.floor(random() * 9) + 1;
    switch (object.kind) {
      case 'link': {
        if (object.type !== 'vxlan') return [{ ...object, mtuBytes: 1_400 + n, up: n !== 1 }];
        const changed = { ...object, mtuBytes: 1_400 + n, learning: n % 3 === 0 };
        return [n % 2 === 0 ? changed : { ...changed, mac: `02:00:00:00:02:0${n}`, up: n !== 1 }];
      }
      case 'neigh':
        return [{ ...object, mac: `02:00:00:00:03:0${n}` }];
      case 'fdb':
        return [{ ...object, dst: `192.168.99.${n}` }];
      case 'addr':
        return [{ ...object, prefix: `10.5.${n}.0/32` }];
      case 'route':
        return [{ ...object, type: 'unicast', via: `192.168.77.${n}`, dev: 'eth0', onlink: false }];
    }
  });
}
