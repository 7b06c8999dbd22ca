import { describe, expect, it } from 'vitest';
import {
  creationOrder,
  formatHostState,
  formatObject,
  type HostObject,
  keyOf,
  linkOf,
} from '../../../agent/model/host-state.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { goldenStates } from '../../kernel/golden-states.ts';

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
  it.each([
    [LINK, LINK_LINE, 'link flannel.1', undefined],
    [
      { ...LINK, learning: true, gbp: true, up: false },
      LINK_LINE.replace('nolearning', 'learning gbp down'),
      'link flannel.1',
      undefined,
    ],
    [ADDR, 'addr 10.5.1.0/32 dev flannel.1', 'addr 10.5.1.0/32 flannel.1', 'flannel.1'],
    [NEIGH, 'neigh 10.5.2.0 lladdr 02:00:0a:00:00:02 dev flannel.1', 'neigh 10.5.2.0 flannel.1', 'flannel.1'],
    [FDB, 'fdb 02:00:0a:00:00:02 dst 10.0.0.2 dev flannel.1', 'fdb 02:00:0a:00:00:02 flannel.1', 'flannel.1'],
    [ONLINK, 'route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink', 'route 10.5.2.0/24', 'flannel.1'],
    [DIRECT, 'route 10.5.2.0/24 via 10.0.0.2 dev eth0', 'route 10.5.2.0/24', 'eth0'],
    [BLACKHOLE, 'route blackhole 10.5.2.0/24', 'blackhole 10.5.2.0/24', undefined],
  ])('$kind is one line, has a key, and sits on a link', (object, line, key, link) => {
    expect(formatObject(object)).toBe(line);
    expect(keyOf(object)).toBe(key);
    expect(linkOf(object)).toBe(link);
  });

  it('is made after what it needs', () => {
    const kinds = [ONLINK, FDB, NEIGH, ADDR, LINK].sort(creationOrder).map(({ kind }) => kind);
    expect(kinds).toEqual(['link', 'addr', 'neigh', 'fdb', 'route']);
  });
});

describe('formatHostState', () => {
  it('sorts by kind and then by number, whatever the order was', () => {
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

  it('gives one text for each set of objects', async () => {
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
  it('hold each key once', async () => {
    for (const [name, state] of await goldenStates()) {
      expect(new Set(state.map(keyOf)).size, name).toBe(state.length);
    }
  });
});
