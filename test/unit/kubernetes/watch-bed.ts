// A watch of Nodes in virtual time, with lists and watches that the test writes.
import { onTestFinished } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import type { ApiClient, Reader } from '../../../agent/kubernetes/api/client.ts';
import type { WatchEvent } from '../../../agent/kubernetes/api/watch.ts';
import type { CachedNodes } from '../../../agent/kubernetes/node-cache.ts';
import type { NodeObject } from '../../../agent/kubernetes/node-object.ts';
import { NodeWatch } from '../../../agent/kubernetes/node-watch.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { nodeJson } from '../../support/node-json.ts';

export type NodeJson = ReturnType<typeof nodeJson>;

export interface Bed {
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

export const self = nodeJson('self', { podCidrs: ['10.244.0.0/24'], address: '192.168.77.1' });
export const n1 = nodeJson('n1', { version: 3 });
export const n2 = nodeJson('n2', { version: 4, podCidrs: ['10.244.2.0/24'], address: '192.168.77.3' });

/** A watch that runs until the test ends. */
export const start = (version: number, ...nodes: readonly NodeJson[]): Promise<Bed> =>
  startWith(undefined, version, ...nodes);

/** The same, with the Nodes of the last run. */
export async function startWith(
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
export function short(events: readonly StoreEvent[]): readonly string[] {
  return events.map((event) => {
    if (event.type === 'snapshot') return ['snapshot', ...event.leases.map(({ key }) => key)].join(' ');
    if (event.type === 'lease') return `lease ${event.lease.key} ${event.lease.subnets.ipv4?.address}`;
    if (event.type === 'lease-removed') return `lease-removed ${event.key}`;
    if (event.type === 'malformed') return `malformed ${event.entry.reason}`;
    if (event.type === 'disconnected') return `disconnected ${event.error.message}`;
    return event.type;
  });
}

export const beat = (node: NodeJson, version: number): NodeJson => ({
  ...node,
  metadata: { ...(node['metadata'] as object), resourceVersion: String(version) },
  status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: String(version) }] },
});
