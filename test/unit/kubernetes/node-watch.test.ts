// The Nodes of a cluster as events of leases, in virtual time.
import { describe, expect, it } from 'vitest';
import { nodeJson, vxlanAnnotations } from '../../support/node-json.ts';
import { beat, n1, n2, self, short, start } from './watch-bed.ts';

describe('the Nodes of a cluster', () => {
  it('are the leases of all other nodes, with the configuration of this node', async () => {
    const { events, watch, own } = await start(7, self, n1, n2);
    expect(short(events)).toEqual(['snapshot n1 n2']);
    expect(events[0]).toMatchObject({ config: '{"Network":"10.244.0.0/16"}', revision: 7, malformed: [] });
    expect([watch.own?.name, own.map((node) => node?.name)]).toEqual(['self', ['self']]);
  });

  it('come, change and go', async () => {
    const bed = await start(7, self, n1);
    await bed.tell('put', n2);
    const annotations = vxlanAnnotations('192.168.77.3', '02:00:00:00:00:09');
    await bed.tell('put', nodeJson('n2', { version: 9, podCidrs: ['10.244.2.0/24'], annotations }));
    await bed.tell('gone', beat(n1, 10));
    expect(short(bed.events)).toEqual([
      'snapshot n1',
      'lease n2 10.244.2.0',
      'lease n2 10.244.2.0',
      'lease-removed n1',
    ]);
    expect(bed.events.at(-1)).toMatchObject({ revision: 10 });
  });

  it('tell nobody of heartbeats, but of those of the own Node', async () => {
    const bed = await start(7, self, n1);
    for (let version = 8; version < 20; version++) await bed.tell('put', beat(n1, version));
    expect(short(bed.events)).toEqual(['snapshot n1']);
    await bed.tell('put', beat(self, 21));
    expect(bed.own.map((node) => node?.resourceVersion)).toEqual(['1', '21']);
  });

  it('keep their very leases in a later list, so that it is seen to be of the same store', async () => {
    const bed = await start(7, self, n1);
    bed.holds(30, self, beat(n1, 29));
    await bed.breakOff('gone');
    const [first, second] = bed.events.filter((event) => event.type === 'snapshot');
    expect(second?.leases[0]).toBe(first?.leases[0]);
  });

  it('get a podCIDR after the marks, and marks after the podCIDR', async () => {
    const bed = await start(7, self);
    await bed.tell('put', nodeJson('n1', { version: 8, podCidrs: [] }));
    await bed.tell('put', nodeJson('n1', { version: 9 }));
    await bed.tell('put', nodeJson('n2', { version: 10, annotations: {} }));
    await bed.tell('put', nodeJson('n2', { version: 11 }));
    expect(short(bed.events)).toEqual(['snapshot', 'lease n1 10.244.1.0', 'lease n2 10.244.1.0']);
  });

  it('keep the lease when their marks are taken away or malformed, in a later list, too', async () => {
    const bed = await start(7, self, n1, n2);
    const bare = nodeJson('n1', { version: 8, annotations: {} });
    const broken = nodeJson('n2', {
      version: 9,
      podCidrs: ['10.244.2.0/24'],
      annotations: { ...vxlanAnnotations('x'), 'backend-type': 'vxlan' },
    });
    await bed.tell('put', bare);
    await bed.tell('put', broken);
    bed.holds(9, self, bare, broken);
    await bed.breakOff('gone');
    const reason = 'Node n2: public-ip must be an IPv4 address, is "x"';
    expect(short(bed.events)).toEqual(['snapshot n1 n2', `malformed ${reason}`, 'snapshot n1']);
    // The table keeps the lease of an entry that is malformed.
    expect(bed.events.at(-1)).toMatchObject({ malformed: [{ key: 'n2', reason }] });
    await bed.tell('put', beat(n2, 12));
    await bed.tell('put', beat(n1, 13));
    expect(short(bed.events.slice(3))).toEqual(['lease n2 10.244.2.0', 'lease n1 10.244.1.0']);
  });

  it('are others when they are made again under their name, seen live or in a list', async () => {
    const bed = await start(7, self, n1);
    const again = nodeJson('n1', { version: 9, uid: 'other', podCidrs: ['10.244.9.0/24'] });
    await bed.tell('put', again);
    expect(short(bed.events)).toEqual(['snapshot n1', 'lease-removed n1', 'lease n1 10.244.9.0']);
    bed.holds(12, self, nodeJson('n1', { version: 11, uid: 'third', annotations: {} }));
    await bed.breakOff('gone');
    expect(short(bed.events.slice(3))).toEqual(['snapshot']);
  });

  it('with one podCIDR are two leases', async () => {
    const { events } = await start(7, self, n1, nodeJson('n2', { version: 4 }));
    expect(short(events)).toEqual(['snapshot n1 n2']);
  });
});

describe('a list that is hard to believe', () => {
  it('because the own Node is missing, is taken when a second one lacks it, too', async () => {
    const bed = await start(7, self, n1);
    bed.holds(9, n1);
    await bed.breakOff('gone');
    const why = 'Node self, which is this node, is not among the Nodes of the cluster: listing them again';
    expect(short(bed.events)).toEqual(['snapshot n1', `disconnected ${why}`]);
    expect(bed.watch.own?.name).toBe('self');
    await bed.clock.advance(8_000);
    expect(short(bed.events.slice(2))).toEqual(['snapshot n1']);
    expect([bed.watch.own, bed.own.at(-1), bed.lists]).toEqual([undefined, undefined, 3]);
    // It is known to be missing: the next list needs no second look.
    bed.holds(12, n1, n2);
    await bed.breakOff('gone');
    expect(short(bed.events.slice(3))).toEqual(['snapshot n1 n2']);
  });

  it.each([
    ['empty', []],
    ['without the own Node', [n1, n2]],
  ])('because it is %s, is forgotten when the second one is whole', async (_, nodes) => {
    const bed = await start(7, self, n1, n2);
    bed.holds(9, ...nodes);
    await bed.breakOff('gone');
    bed.holds(10, self, n1, n2);
    await bed.clock.advance(8_000);
    expect(short(bed.events).filter((event) => !event.startsWith('disconnected'))).toEqual([
      'snapshot n1 n2',
      'snapshot n1 n2',
    ]);
    expect(bed.own.length).toBe(2);
  });

  it('because it is older than a change that was seen, needs a second one', async () => {
    const bed = await start(7, self, n1);
    await bed.tell('put', beat(n2, 20));
    bed.holds(15, self, n1);
    await bed.breakOff('gone');
    expect(short(bed.events.slice(2))).toEqual([
      'disconnected the Nodes of the cluster are those of an earlier time: listing them again',
    ]);
    await bed.clock.advance(8_000);
    expect(short(bed.events.slice(3))).toEqual(['snapshot n1']);
    // The store was restored: its versions count from here.
    bed.holds(16, self, n1, n2);
    await bed.breakOff('gone');
    expect(short(bed.events.slice(4))).toEqual(['snapshot n1 n2']);
  });

  it('at the start, because this node is not registered yet, delays it by one pause', async () => {
    const bed = await start(7, n1);
    expect(bed.events.map(({ type }) => type)).toEqual(['disconnected']);
    await bed.clock.advance(8_000);
    expect(short(bed.events.slice(1))).toEqual(['snapshot n1']);
    await bed.tell('put', self);
    expect(bed.watch.own?.name).toBe('self');
  });
});
