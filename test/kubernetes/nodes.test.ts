// Whole nodes: kubelet, containerd and kube-proxy on hosts of the lab, and the DaemonSet of deploy/kubernetes.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_CACHE } from '../../agent/kubernetes/cache-path.ts';
import type { Container } from '../lab/container.ts';
import { sourceSeen } from '../lab/datagram.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { findPod, POD_LABEL, startPods } from '../lab/kubernetes/pods.ts';
import type { WholeNode } from '../lab/kubernetes/whole-node.ts';
import { openWholeNodes, type WholeNodes } from '../lab/kubernetes/whole-nodes.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { NEEDS_WHOLE_NODES } from './whole-nodes-need.ts';

const MANIFESTS = join(PROJECT_ROOT, 'deploy/kubernetes');
const CONFLIST = '/etc/cni/net.d/10-flannel.conflist';
const READY_MS = 60_000;
const TEST_MS = 150_000;

describe.skipIf(NEEDS_WHOLE_NODES.missing)(title('the DaemonSet on whole nodes', NEEDS_WHOLE_NODES), () => {
  let cluster: WholeNodes;
  let first: WholeNode;
  let second: WholeNode;
  let pods: readonly Container[];

  beforeAll(async () => {
    cluster = await openWholeNodes({ nodes: 2 });
    [first, second] = cluster.nodes as [WholeNode, WholeNode];
  }, TEST_MS);
  afterAll(() => cluster?.[Symbol.asyncDispose](), 30_000);

  const kubectl = (...args: readonly string[]): Promise<string> => cluster.plane.kubectl(...args);
  const field = (node: string, path: string): Promise<string> =>
    kubectl('get', 'node', node, `-o=jsonpath={${path}}`);
  const isReady = async (node: string): Promise<boolean> =>
    (await field(node, '.status.conditions[?(@.type=="Ready")].status')) === 'True';
  const conflist = ({ host }: WholeNode): Promise<string> =>
    readFile(host.path(CONFLIST), 'utf8').catch(() => '');
  const untilReady = (): Promise<string> =>
    kubectl('wait', 'node', '--all', '--for=condition=Ready', '--timeout=60s');
  const rollOut = (): Promise<string> =>
    kubectl('-n', 'twill', 'rollout', 'status', 'daemonset/twill', '--timeout=90s');
  const pod = (index: number): Container => {
    const found = pods[index];
    if (found === undefined) throw new Error(`there is no pod ${index}`);
    return found;
  };
  const untilTalk = (from: Container, to: Container): Promise<unknown> =>
    waitFor(`${from.name} reaches ${to.name}`, READY_MS, () =>
      sourceSeenBy(to.address, from.namespace).then(
        (source) => source === from.address,
        () => false,
      ),
    );

  it('kubectl apply -k makes nodes ready, and the network of the pods appears with the routes', async () => {
    for (const node of cluster.nodes) {
      expect(await field(node.name, '.status.conditions[?(@.type=="Ready")].message')).toContain(
        'cni plugin',
      );
      expect(await conflist(node)).toBe('');
    }
    await kubectl('apply', '-k', join(MANIFESTS, 'base'));
    await waitFor('the network of the pods is there', READY_MS, async () => {
      const text = await conflist(first);
      if (text === '') return false;
      // Never half written, and never before the device.
      expect(JSON.parse(text)).toMatchObject({ name: 'cbr0' });
      expect(await first.host.namespace.run(['ip', 'link', 'show', 'flannel.1'])).toContain('UP');
      return true;
    });
    await rollOut();
    await untilReady();
    expect(await field('h1', '.status.conditions[?(@.type=="NetworkUnavailable")].reason')).toBe(
      'FlannelIsUp',
    );
  }, 90_000);

  it(
    'pods reach each other, services, hosts and the outside, with the right sources',
    async () => {
      pods = await startPods(cluster, { a1: 'h1', b1: 'h1', a2: 'h2', b2: 'h2' });
      for (const from of pods) for (const to of pods) if (from !== to) await untilTalk(from, to);
      const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } };
      await cluster.plane.apply({ ...service, spec: { selector: POD_LABEL, ports: [{ port: 80 }] } });
      const address = await kubectl('get', 'service', 'web', '-o=jsonpath={.spec.clusterIP}');
      for (const from of pods) {
        await waitFor('the service answers', READY_MS, () =>
          sourceSeenBy(address, from.namespace).then(
            // A pod that reaches itself over its service is masqueraded by kube-proxy.
            (source) => source === from.address,
            () => false,
          ),
        );
        const { host } = from.name.endsWith('1') ? first : second;
        expect(await sourceSeen(from.namespace, cluster.lab.outside, OUTSIDE_ADDRESS)).toBe(host.address);
        expect(await sourceSeenBy(from.address, host.namespace)).toBe(from.address.replace(/\d+$/, '1'));
      }
      // The address of the vxlan device, whose packets the other node's route leads back.
      expect(await sourceSeenBy(pod(2).address, first.host.namespace)).toBe(
        pod(0).address.replace(/\d+$/, '0'),
      );
      expect(await sourceSeen(pod(0).namespace, second.host.namespace, second.host.address)).toBe(
        first.host.address,
      );
    },
    TEST_MS,
  );

  it(
    'a restart and an upgrade of the DaemonSet lose no packet of 50 a second',
    async () => {
      const stream = new PingStream(pod(0), pod(2), join(cluster.lab.folder, 'restart.log'), 20);
      await using _stream = stream;
      await stream.flows();
      await kubectl('-n', 'twill', 'rollout', 'restart', 'daemonset/twill');
      await rollOut();
      for (const node of cluster.nodes) await node.tagImage('twill:0.1.0', 'twill:0.1.1');
      await kubectl('-n', 'twill', 'set', 'image', 'daemonset/twill', 'twill=twill:0.1.1');
      await rollOut();
      await stream.flows();
      expect(await stream.lost()).toBe(0);
    },
    TEST_MS,
  );

  it(
    'a node that was rebooted comes back with its subnet, and its pods with a network',
    async () => {
      const { subnet } = (await first.host.subnetEnv()) ?? {};
      await waitFor('the agent keeps the Nodes for a boot without the API', READY_MS, async () =>
        (await readFile(first.host.path(NODE_CACHE), 'utf8').catch(() => '')).includes(second.host.address),
      );
      await first.powerOff();
      await first.powerOn();
      await waitFor('the agent has written its subnet', READY_MS, async () => {
        return (await first.host.subnetEnv())?.subnet === subnet;
      });
      await untilReady();
      const back = await waitFor('the pod runs again', READY_MS, () =>
        findPod(cluster, 'a1').catch(() => undefined),
      );
      await untilTalk(back, pod(2));
      await untilTalk(pod(2), back);
    },
    TEST_MS,
  );

  it(
    'a node that was drained and deleted joins again with another subnet',
    async () => {
      const was = await field('h1', '.spec.podCIDR');
      await kubectl(
        'drain',
        'h1',
        '--ignore-daemonsets',
        '--force',
        '--delete-emptydir-data',
        '--timeout=60s',
      );
      await first.stop();
      await kubectl('delete', 'node', 'h1');
      await first.powerOn();
      const is = await waitFor('it has another subnet', READY_MS, async () => {
        const found = await field('h1', '.spec.podCIDR').catch(() => '');
        return found !== '' && found;
      });
      expect(is).not.toBe(was);
      await waitFor('the agent has written its subnet', READY_MS, async () => {
        return (await first.host.subnetEnv())?.subnet === is.replace('.0/', '.1/');
      });
      await untilReady();
      const [c1] = await startPods(cluster, { c1: 'h1' });
      if (c1 === undefined) throw new Error('no pod');
      expect(c1.address.startsWith(is.replace(/\d+\/24$/, ''))).toBe(true);
      await untilTalk(c1, pod(2));
      await untilTalk(pod(2), c1);
      expect(await second.host.namespace.run(['ip', 'route', 'show', 'proto', '84'])).not.toContain(was);
      pods = [c1, ...pods.slice(1)];
    },
    TEST_MS,
  );

  it(
    'without the DaemonSet packets flow on, and the clean-up takes everything away',
    async () => {
      await kubectl('delete', '-k', join(MANIFESTS, 'base'), '--timeout=60s');
      await untilTalk(pod(0), pod(2));
      await kubectl('apply', '-k', join(MANIFESTS, 'overlays/clean-up'));
      await kubectl('-n', 'twill-clean-up', 'rollout', 'status', 'daemonset/twill-clean-up', '--timeout=60s');
      for (const node of cluster.nodes) {
        const { namespace } = node.host;
        expect(await namespace.run(['ip', 'link'])).not.toContain('flannel');
        expect(await namespace.run(['ip', 'route', 'show', 'table', 'all', 'proto', '84'])).toBe('');
        expect(await namespace.run(['nft', 'list', 'ruleset'])).not.toMatch(/FLANNEL|TWILL|twill/);
        expect(await namespace.run(['find', '/run/flannel', '/var/lib/twill', '-type', 'f'])).toBe('');
        expect(await conflist(node)).toBe('');
      }
      expect(await isReady('h1')).toBe(true);
    },
    TEST_MS,
  );
});
