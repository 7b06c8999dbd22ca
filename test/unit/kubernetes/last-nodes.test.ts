// The Nodes of the last run as the first leases, and those that are kept for the next one.
import { describe, expect, it } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';
import type { CachedNodes } from '../../../agent/kubernetes/node-cache.ts';
import { createNodeReader, type NodeObject } from '../../../agent/kubernetes/node-object.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import { nodeJson } from '../../support/node-json.ts';
import { beat, n1, n2, self, short, start, startWith } from './watch-bed.ts';

describe('the Nodes of the last run', () => {
  const readNode = createNodeReader(annotationNames(DEFAULT_PREFIX, 'prefix'));
  const last = (version: number): CachedNodes => {
    const [own, ...peers] = [self, n1, n2].map((node) => readNode(node) as NodeObject);
    return { version, own: own as NodeObject, peers };
  };

  it('are the leases until a list takes their place', async () => {
    const bed = await startWith(last(7), 9, self, n2);
    const doubt = expect.stringContaining('disconnected the API server has not answered');
    expect(short(bed.events)).toEqual(['snapshot n1 n2', doubt, 'snapshot n2']);
    expect(bed.own.map((node) => node?.name)).toEqual(['self', 'self']);
    // n2 is as it was, so nothing of it changes.
    const [before, , after] = bed.events.map((event) => (event.type === 'snapshot' ? event.leases : []));
    expect(after?.[0]).toEqual(before?.[1]);
  });

  it('are told once: a watch that begins anew brings back none that went', async () => {
    const bed = await startWith(last(7), 9, self, n2);
    const again: StoreEvent[] = [];
    const controller = new AbortController();
    const running = (async () => {
      for await (const event of bed.watch.watch(controller.signal)) again.push(event);
    })();
    await bed.clock.settle();
    expect(short(again)).toEqual(['snapshot n2']);
    controller.abort();
    await bed.clock.settle();
    await running;
  });

  it('stay where a first list is older, or lacks the own Node, until a second one confirms it', async () => {
    for (const [version, nodes] of [
      [3, [self]],
      [9, []],
    ] as const) {
      const bed = await startWith(last(7), version, ...nodes);
      const [first, ...rest] = short(bed.events);
      expect(first).toBe('snapshot n1 n2');
      expect(rest.filter((each) => each.startsWith('snapshot'))).toEqual([]);
      await bed.clock.advance(12_000);
      expect(short(bed.events).at(-1)).toBe('snapshot');
    }
  });

  it('are known for the next run as the lists and changes tell them', async () => {
    const bed = await start(7, self, n1);
    await bed.tell('put', n2);
    await bed.tell('gone', beat(n1, 10));
    expect(bed.watch.nodes()).toMatchObject({
      version: 10,
      own: { name: 'self', podCidrs: ['10.244.0.0/24'] },
      peers: [{ name: 'n2', podCidrs: ['10.244.2.0/24'], annotations: { 'public-ip': '192.168.77.3' } }],
    });
  });

  it('change with each change but heartbeats', async () => {
    const bed = await start(7, self, n1);
    const rings = async (): Promise<boolean> => {
      const ended = AbortSignal.timeout(0);
      return bed.watch.changed.wait(ended).then(
        () => true,
        () => false,
      );
    };
    expect(await rings()).toBe(true);
    await bed.tell('put', beat(n1, 8));
    await bed.tell('put', beat(self, 9));
    expect(await rings()).toBe(false);
    for (const [type, node] of [
      ['put', n2],
      ['gone', beat(n2, 11)],
      ['put', nodeJson('self', { version: 12, podCidrs: ['10.244.9.0/24'], address: '192.168.77.1' })],
    ] as const) {
      await bed.tell(type, node);
      expect(await rings()).toBe(true);
    }
  });
});
