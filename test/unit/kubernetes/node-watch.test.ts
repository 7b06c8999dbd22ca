// The Nodes of a cluster as events of leases, in virtual time, with lists and watches that the test writes.
import { describe, expect, it, onTestFinished } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import type { ApiClient, Reader } from '../../../agent/kubernetes/api/client.ts';
import type { WatchEvent } from '../../../agent/kubernetes/api/watch.ts';
import type { CachedNodes } from '../../../agent/kubernetes/node-cache.ts';
import { createNodeReader, type NodeObject } from '../../../agent/kubernetes/node-object.ts';
import { NodeWatch } from '../../../agent/kubernetes/node-watch.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { nodeJson, vxlanAnnotations } from '../../support/node-json.ts';

type NodeJson = ReturnType<typeof nodeJson>;

interface Bed {
  readonly clock: VirtualClock;
  readonly watch: NodeWatch;
  readonly events: StoreEvent[];
  /** The own Node at each call of the listener. */
  readonly own: (NodeObject | undefined)[];
  /** The next lists give these Nodes, at this version. */
  holds(version: number, ...nodes: readonly NodeJson[]): void;
  /** Tells of a change in the open watch. */
  tell(type: 'put' | 'gone', node: NodeJson): Promise<void>;
  /** Breaks the open watch. */
  breakOff(kind: 'gone' | 'unreachable'): Promise<void>;
  readonly lists: number;
}

const self = nodeJson('self', { podCidrs: ['10.244.0.0/24'], address: '192.168.77.1' });
const n1 = nodeJson('n1', { version: 3 });
const n2 = nodeJson('n2', { version: 4, podCidrs: ['10.244.2.0/24'], address: '192.168.77.3' });

/** A watch that runs until the test ends. */
const start = (version: number, ...nodes: readonly NodeJson[]): Promise<Bed> =>
  startWith(undefined, version, ...nodes);

/** The same, with the Nodes of the last run. */
async function startWith(
  last: CachedNodes | undefined,
  version: number,
  ...nodes: readonly NodeJson[]
): Promise<Bed> {
  const clock = createVirtualClock();
  let held = { version, nodes };
  let lists = 0;
  let push: ((step: NodeJson | ApiError, type?: 'put' | 'gone') => void) | undefined;
  const client = {
    async list(_resource: unknown, read: Reader<object>) {
      lists += 1;
      return {
        items: held.nodes.flatMap((node) => read(node, () => node) ?? []),
        resourceVersion: String(held.version),
      };
    },
    version: async () => String(held.version),
    async watch(_resource: unknown, _version: string, read: Reader<object>, signal: AbortSignal) {
      const steps: (WatchEvent<object | undefined> | ApiError)[] = [];
      let wake: (() => void) | undefined;
      signal.addEventListener('abort', () => wake?.());
      push = (step, type = 'put') => {
        if (step instanceof ApiError) steps.push(step);
        else {
          const { resourceVersion } = step['metadata'] as { readonly resourceVersion: string };
          const lean = { ...step, status: undefined };
          steps.push({ type, object: read(lean, () => step), resourceVersion });
        }
        wake?.();
      };
      return (async function* () {
        for (;;) {
          signal.throwIfAborted();
          const step = steps.shift();
          if (step instanceof ApiError) throw step;
          if (step !== undefined) yield step;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
        }
      })();
    },
    reconnect: () => undefined,
    [Symbol.dispose]: () => undefined,
  } as unknown as ApiClient;
  const watch = new NodeWatch({
    client,
    nodeName: 'self',
    names: annotationNames(DEFAULT_PREFIX, 'prefix'),
    config: '{"Network":"10.244.0.0/16"}',
    last,
    clock,
    random: () => 0,
  });
  const own: (NodeObject | undefined)[] = [];
  watch.listen((node) => own.push(node));
  const events: StoreEvent[] = [];
  const controller = new AbortController();
  const running = (async () => {
    for await (const event of watch.watch(controller.signal)) events.push(event);
  })();
  onTestFinished(async () => {
    controller.abort();
    await clock.settle();
    await running;
  });
  await clock.settle();
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) await clock.settle();
  };
  return {
    clock,
    watch,
    events,
    own,
    holds(next, ...all) {
      held = { version: next, nodes: all };
    },
    async tell(type, node) {
      push?.(node, type);
      await settled();
    },
    async breakOff(kind) {
      push?.(new ApiError(kind, kind));
      await settled();
    },
    get lists() {
      return lists;
    },
  };
}

/** Events as short texts: `snapshot n1 n2`, `lease n1 10.244.1.0`, `lease-removed n1`. */
function short(events: readonly StoreEvent[]): readonly string[] {
  return events.map((event) => {
    if (event.type === 'snapshot') return ['snapshot', ...event.leases.map(({ key }) => key)].join(' ');
    if (event.type === 'lease') return `lease ${event.lease.key} ${event.lease.subnets.ipv4?.address}`;
    if (event.type === 'lease-removed') return `lease-removed ${event.key}`;
    if (event.type === 'malformed') return `malformed ${event.entry.reason}`;
    if (event.type === 'disconnected') return `disconnected ${event.error.message}`;
    return event.type;
  });
}

const beat = (node: NodeJson, version: number): NodeJson => ({
  ...node,
  metadata: { ...(node['metadata'] as object), resourceVersion: String(version) },
  status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: String(version) }] },
});

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
