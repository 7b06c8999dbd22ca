// A whole node whose subnet is the podCIDR of its Node in Kubernetes.
import { describe, expect, it } from 'vitest';
import { NodeHolder } from '../../../agent/kubernetes/node-holder.ts';
import type { NodeObject } from '../../../agent/kubernetes/node-object.ts';
import type { OwnListener } from '../../../agent/kubernetes/node-watch.ts';
import { formatHostState } from '../../../agent/model/host-state.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { HolderInput } from '../../../agent/model/lease-holder.ts';
import { createPlanner } from '../../../agent/node/planner.ts';
import { createBackend } from '../../../backends/index.ts';
import type { VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts, leaseAttrs, prefix } from '../../support/build.ts';
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

  it('lets no engine start pods of the former podCIDR from the moment of another one on', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, ['10.5.8.0/24']);
      const self = await start(1, undefined, true, node.createHolder);
      expect(self.gate()).toBe('10.5.8.0/24');
      node.put(undefined);
      await clock.advance(60_000);
      expect(self.gate()).toBe('10.5.8.0/24');
      self.refuseHandOff(true);
      node.put({ uid: 'another', podCidrs: ['10.5.9.0/24'], annotations: {} });
      await clock.advance(10_000);
      expect([self.gate(), self.handedOff()]).toEqual([undefined, '10.5.8.0/24']);
      self.refuseHandOff(false);
      await clock.advance(60_000);
      expect([self.gate(), self.handedOff()]).toEqual(['10.5.9.0/24', '10.5.9.0/24']);
    }));

  it('withdraws everything when another node has its subnet while its Node is gone', () =>
    nodeBed(async ({ clock, start }) => {
      const node = ownNode(clock, ['10.5.2.0/24']);
      const self = await start(1, undefined, true, node.createHolder);
      node.put(undefined);
      await start(2);
      await start(3);
      await clock.advance(1_000);
      expect([self.reason(), self.routes(), self.rules(), self.gate()]).toEqual([
        expect.stringContaining('Node n1 does not exist'),
        [],
        undefined,
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

describe('podCIDRs that controllers have assigned twice', () => {
  const of = (name: string, created: number, subnet: string, publicIP: string): Lease => ({
    key: name,
    subnets: { ipv4: prefix(subnet) },
    attrs: leaseAttrs(publicIP, { backendType: 'host-gw' }),
    revision: 5,
    created,
    session: `uid-${name}`,
    asked: undefined,
  });
  const older = of('n9', 1_000, '10.5.2.0/24', '192.168.77.9');
  const other = of('n4', 3_000, '10.5.4.0/24', '192.168.77.4');

  it('the older Node has one, whoever came first, and a third Node is left alone', async () => {
    const younger = of('n2', 2_000, '10.5.2.0/24', '192.168.77.2');
    for (const leases of [
      [younger, other, older],
      [older, other, younger],
    ]) {
      const planner = createPlanner({
        backend: await createBackend({ type: 'host-gw', options: {} }, 'test'),
        overlays: { ipv4: { network: prefix('10.5.0.0/16'), subnetLength: undefined } },
        blackholeRoute: false,
      });
      planner.plan(hostFacts(), { ipv4: prefix('10.5.1.0/24') }, []);
      for (const lease of leases) planner.update(lease.key, lease);
      expect(formatHostState(planner.state())).toBe(
        'route 10.5.2.0/24 via 192.168.77.9 dev eth0\nroute 10.5.4.0/24 via 192.168.77.4 dev eth0\n',
      );
      expect(planner.conditions().map(({ peer }) => peer.publicIP)).toEqual(['192.168.77.2']);
    }
  });
});
