// A whole node whose subnet is the podCIDR of its Node in Kubernetes.
import { describe, expect, it } from 'vitest';
import { NodeHolder } from '../../../agent/kubernetes/node-holder.ts';
import type { NodeObject } from '../../../agent/kubernetes/node-object.ts';
import type { OwnListener } from '../../../agent/kubernetes/node-watch.ts';
import type { HolderInput } from '../../../agent/model/lease-holder.ts';
import type { VirtualClock } from '../../fakes/virtual-clock.ts';
import { nodeObject } from '../../support/node-object.ts';
import { nodeBed } from './node-bed.ts';

/** The own Node as an API server would keep it, and a holder that follows it. */
function ownNode(clock: VirtualClock, podCidrs: readonly string[]) {
  let own: NodeObject | undefined = nodeObject({}, { podCidrs });
  let version = 100;
  let listener: OwnListener = () => undefined;
  const put = (changes: Partial<NodeObject> | undefined): NodeObject | undefined => {
    version += 1;
    own = changes && { ...(own ?? nodeObject({})), ...changes, resourceVersion: String(version) };
    listener(own);
    return own;
  };
  const createHolder = (input: HolderInput): NodeHolder =>
    new NodeHolder({
      ...input,
      nodeName: 'n1',
      source: {
        get own() {
          return own;
        },
        listen(next) {
          listener = next;
        },
      },
      writer: {
        annotate: async (changes) => put({ annotations: { ...own?.annotations, ...changes } }),
        setAvailable: async () => put({ networkUnavailable: 'False' }),
      },
      setsAvailable: true,
      clock,
      random: () => 0.5,
    });
  return { put, createHolder, annotations: () => own?.annotations };
}

describe('a node of Kubernetes', () => {
  it('waits for its podCIDR, uses it, and tells its peers', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, []);
      const self = await start(1, undefined, true, node.createHolder);
      await start(2);
      expect([self.reason(), self.node.hangs(), self.routes()]).toEqual([
        expect.stringContaining('waiting for a podCIDR of Node n1'),
        undefined,
        [],
      ]);
      await clock.advance(60_000);
      expect(node.annotations()).toEqual({});
      node.put({ podCidrs: ['10.5.8.0/24'] });
      await clock.advance(1_000);
      expect([self.reason(), self.handedOff(), self.routes()]).toEqual([
        'ready',
        '10.5.8.0/24',
        ['10.5.2.0/24'],
      ]);
      expect(node.annotations()).toEqual({
        'kube-subnet-manager': 'true',
        'backend-type': 'host-gw',
        'backend-data': 'null',
        'public-ip': '192.168.77.1',
      });
    }));

  it('keeps its routes while its Node is gone, and uses the podCIDR of the next one', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, ['10.5.8.0/24']);
      const self = await start(1, undefined, true, node.createHolder);
      await start(2);
      node.put(undefined);
      await clock.advance(60_000);
      expect([self.reason(), self.handedOff(), self.routes()]).toEqual([
        expect.stringContaining('Node n1 does not exist'),
        '10.5.8.0/24',
        ['10.5.2.0/24'],
      ]);
      node.put({ uid: 'another', podCidrs: ['10.5.9.0/24'], annotations: {} });
      await clock.advance(1_000);
      expect([self.reason(), self.handedOff(), self.routes()]).toEqual([
        'ready',
        '10.5.9.0/24',
        ['10.5.2.0/24'],
      ]);
      expect(node.annotations()).toHaveProperty('public-ip', '192.168.77.1');
    }));

  it('withdraws everything when another node has its subnet while its Node is gone', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, ['10.5.2.0/24']);
      const self = await start(1, undefined, true, node.createHolder);
      node.put(undefined);
      await start(2);
      await start(3);
      await clock.advance(1_000);
      expect([self.reason(), self.routes(), self.rules()]).toEqual([
        expect.stringContaining('Node n1 does not exist'),
        [],
        undefined,
      ]);
    }));

  it('tells its peers of another address of its host', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, ['10.5.8.0/24']);
      const self = await start(1, undefined, true, node.createHolder);
      self.readdress('192.168.77.7');
      await clock.advance(600_000);
      expect(node.annotations()).toHaveProperty('public-ip', '192.168.77.7');
    }));
});
