import { describe, expect, it } from 'vitest';
import {
  creationOrder,
  formatHostState,
  formatObject,
  type HostObject,
  isOwnType,
  keyOf,
  linkNeededBy,
  linkOf,
  matchesOwnName,
} from '../../../agent/model/host-state.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { goldenStates } from '../../support/golden-states.ts';

const LINK: HostObject = {
  kind: 'link',
  type: 'vxlan',
  name: 'flannel.1',
  vni: 1,
  port: 8472,
  mtuBytes: 1450,
  mac: '02:00:0a:00:00:01',
  local: '10.0.0.1',
  underlay: 'eth0',
  learning: false,
  gbp: false,
  up: true,
};
const TUN: HostObject = { kind: 'link', type: 'tun', name: 'flannel0', mtuBytes: 1472, up: true };
const ADDR: HostObject = { kind: 'addr', prefix: '10.5.1.0/32', dev: 'flannel.1' };
const NEIGH: HostObject = {
  kind: 'neigh',
  address: '10.5.2.0',
  mac: '02:00:0a:00:00:02',
  dev: 'flannel.1',
};
const FDB: HostObject = { kind: 'fdb', mac: '02:00:0a:00:00:02', dst: '10.0.0.2', dev: 'flannel.1' };
const ONLINK: HostObject = {
  kind: 'route',
  type: 'unicast',
  dst: '10.5.2.0/24',
  via: '10.5.2.0',
  dev: 'flannel.1',
  onlink: true,
};
const DIRECT: HostObject = {
  kind: 'route',
  type: 'unicast',
  dst: '10.5.2.0/24',
  via: '10.0.0.2',
  dev: 'eth0',
  onlink: false,
};
const BLACKHOLE: HostObject = {
  kind: 'route',
  type: 'blackhole',
  dst: '10.5.2.0/24',
  via: undefined,
  dev: undefined,
  onlink: false,
};

const LINK_LINE =
  'link vxlan flannel.1 vni 1 port 8472 mtu 1450 mac 02:00:0a:00:00:01 local 10.0.0.1 dev eth0 nolearning';

describe('an object', () => {
  it.each<[HostObject, string, string, string | undefined, string | undefined]>([
    [LINK, LINK_LINE, 'link flannel.1', undefined, 'eth0'],
    [
      { ...LINK, learning: true, gbp: true, up: false },
      LINK_LINE.replace('nolearning', 'learning gbp down'),
      'link flannel.1',
      undefined,
      'eth0',
    ],
    [TUN, 'link tun flannel0 mtu 1472', 'link flannel0', undefined, undefined],
    [
      { ...TUN, owner: 'user any group any' },
      'link tun flannel0 mtu 1472 user any group any',
      'link flannel0',
      undefined,
      undefined,
    ],
    [{ ...TUN, up: false }, 'link tun flannel0 mtu 1472 down', 'link flannel0', undefined, undefined],
    [ADDR, 'addr 10.5.1.0/32 dev flannel.1', 'addr 10.5.1.0/32 flannel.1', 'flannel.1', 'flannel.1'],
    [
      NEIGH,
      'neigh 10.5.2.0 lladdr 02:00:0a:00:00:02 dev flannel.1',
      'neigh 10.5.2.0 flannel.1',
      'flannel.1',
      'flannel.1',
    ],
    [
      FDB,
      'fdb 02:00:0a:00:00:02 dst 10.0.0.2 dev flannel.1',
      'fdb 02:00:0a:00:00:02 flannel.1',
      'flannel.1',
      'flannel.1',
    ],
    [
      ONLINK,
      'route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink',
      'route 10.5.2.0/24',
      'flannel.1',
      'flannel.1',
    ],
    [DIRECT, 'route 10.5.2.0/24 via 10.0.0.2 dev eth0', 'route 10.5.2.0/24', 'eth0', 'eth0'],
    [BLACKHOLE, 'route blackhole 10.5.2.0/24', 'blackhole 10.5.2.0/24', undefined, undefined],
  ])(
    'an object of kind $kind has its line, its key, and the links that it is on and needs',
    (object, line, key, link, needed) => {
      expect(formatObject(object)).toBe(line);
      expect(keyOf(object)).toBe(key);
      expect(linkOf(object)).toBe(link);
      expect(linkNeededBy(object)).toBe(needed);
    },
  );

  it('an object is made after the objects that it needs', () => {
    const kinds = [ONLINK, FDB, NEIGH, ADDR, LINK].sort(creationOrder).map(({ kind }) => kind);
    expect(kinds).toEqual(['link', 'addr', 'neigh', 'fdb', 'route']);
  });
});

describe('a link', () => {
  it.each([
    ['vxlan', 'flannel.1', true],
    ['vxlan', 'flannel.16777215', true],
    ['vxlan', 'flannel.', false],
    ['vxlan', 'flannel.1x', false],
    ['vxlan', 'flannel0', false],
    ['vxlan', 'eth0', false],
    ['tun', 'flannel0', true],
    ['tun', 'flannel.1', false],
    ['tun', 'flannel00', false],
    ['bridge', 'flannel.1', false],
    ['constructor', 'flannel.1', false],
  ])('a link of type %s with the name %s: ours is %s', (type, name, isOurs) => {
    expect(isOwnType(type, name)).toBe(isOurs);
  });

  it.each([
    ['flannel.1', true],
    ['flannel0', true],
    ['flannel*', true],
    ['flannel.*', true],
    ['flannel', false],
    ['flan*', false],
    ['*', false],
    ['eth0', false],
    ['my-flannel.1', false],
  ])('a link named %s in a rule: ours is %s', (pattern, isOurs) => {
    expect(matchesOwnName(pattern)).toBe(isOurs);
  });
});

describe('formatHostState', () => {
  it('formatHostState sorts by kind and then by number, from any order', () => {
    const route = (n: number): HostObject => ({ ...DIRECT, dst: `10.5.${n}.0/24` });
    const state = [route(10), route(9), BLACKHOLE, FDB, route(100), NEIGH, ADDR, LINK];
    const text = `${[
      LINK_LINE,
      formatObject(ADDR),
      formatObject(NEIGH),
      formatObject(FDB),
      'route 10.5.9.0/24 via 10.0.0.2 dev eth0',
      'route 10.5.10.0/24 via 10.0.0.2 dev eth0',
      'route 10.5.100.0/24 via 10.0.0.2 dev eth0',
      'route blackhole 10.5.2.0/24',
    ].join('\n')}\n`;
    expect(formatHostState(state)).toBe(text);
    expect(formatHostState([...state].reverse())).toBe(text);
    expect(formatHostState([])).toBe('');
  });

  it('formatHostState gives one text for each set of objects', async () => {
    const random = seededRandom(3);
    for (const [name, state] of await goldenStates()) {
      const shuffled = state
        .map((object) => ({ object, at: random() }))
        .sort((a, b) => a.at - b.at)
        .map(({ object }) => object);
      expect(formatHostState(shuffled), name).toBe(formatHostState(state));
    }
  });
});

describe('the golden states', () => {
  it('each golden state holds each key once', async () => {
    for (const [name, state] of await goldenStates()) {
      expect(new Set(state.map(keyOf)).size, name).toBe(state.length);
    }
  });
});
