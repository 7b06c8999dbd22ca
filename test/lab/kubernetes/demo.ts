// The demo on Kubernetes: two whole nodes without a network for pods, the DaemonSet, and pods that talk.
import { join } from 'node:path';
import { sourceSeenBy } from '../engines/engine.ts';
import { PROJECT_ROOT } from '../paths.ts';
import { PingStream } from '../ping-stream.ts';
import { formatSeconds, type Screen } from '../screen.ts';
import { showPings, showSources } from '../show-pairs.ts';
import { waitFor } from '../wait.ts';
import { POD_LABEL, startPods } from './pods.ts';
import { openWholeNodes, readWholeNodesFailure, type WholeNodes } from './whole-nodes.ts';

const READY_MS = 60_000;
const PREFIX = 'flannel.alpha.coreos.com/';
/** 50 packets a second. */
const PING_EVERY_MS = 20;

interface ServedNode {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly podCIDR?: string };
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

/** Returns whether every pod reaches every other one, and the restart lost no packet. */
export async function showKubernetes(
  backend: string,
  tag: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  const failure = await readWholeNodesFailure();
  if (failure !== undefined) throw new Error(`whole nodes cannot run here: ${failure}`);
  screen.line(`\nTwill demo: 2 nodes of Kubernetes, backend ${backend}\n`);
  screen.step('Image', "the agent's, built of this checkout, beside a control plane that starts");
  await using cluster = await openWholeNodes({ nodes: 2, tag });
  const { plane } = cluster;
  signal.throwIfAborted();
  screen.step('Nodes', 'with containerd, kubelet and kube-proxy, and without a network for pods');
  await quote(screen, plane.kubectl('get', 'nodes', '-o=wide', '--no-headers'), /\s{2,}Debian.*/);

  const overlay = backend === 'vxlan' ? 'base' : `overlays/${backend}`;
  screen.step('DaemonSet', `kubectl apply -k deploy/kubernetes/${overlay}`);
  await plane.kubectl('apply', '-k', join(PROJECT_ROOT, 'deploy/kubernetes', overlay));
  await followNodes(cluster, screen, signal);
  await quote(screen, plane.kubectl('get', 'nodes', '-o=wide', '--no-headers'), /\s{2,}Debian.*/);
  signal.throwIfAborted();

  const pods = await startPods(cluster, { 'h1-a': 'h1', 'h1-b': 'h1', 'h2-a': 'h2', 'h2-b': 'h2' });
  screen.step('Pods', pods.map(({ name, address }) => `${name} ${address}`).join(', '));
  signal.throwIfAborted();
  const { pairs, answered } = await showPings(pods, screen);
  const areTrue = await showSources(pods, screen);
  signal.throwIfAborted();
  const [from, , to] = pods;
  if (from === undefined || to === undefined) throw new Error('there are no pods');
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } };
  await plane.apply({ ...service, spec: { selector: POD_LABEL, ports: [{ port: 80 }] } });
  const address = await plane.kubectl('get', 'service', 'web', '-o=jsonpath={.spec.clusterIP}');
  await waitFor('the service answers', READY_MS, () =>
    sourceSeenBy(address, from.namespace).then(
      (source) => source !== '',
      () => false,
    ),
  );
  screen.step('Service', `${address} leads to a pod`);

  await using stream = new PingStream(from, to, join(cluster.lab.folder, 'restart.log'), PING_EVERY_MS);
  await stream.flows();
  screen.step('Restart', `of the DaemonSet, under 50 packets a second from ${from.name} to ${to.name}`);
  await plane.kubectl('-n', 'twill', 'rollout', 'restart', 'daemonset/twill');
  await plane.kubectl('-n', 'twill', 'rollout', 'status', 'daemonset/twill', '--timeout=90s');
  await stream.flows();
  const lost = await stream.lost();
  screen.detail(`lost ${lost} packets`);
  // udp moves packets in the agent itself.
  const isGood = answered === pairs && areTrue && (lost === 0 || backend === 'udp');
  const verdict = isGood ? 'Every pod reaches every other one' : 'The network of the pods is not whole';
  screen.line(`\n${verdict}. ${formatSeconds(screen.elapsedMs())} in total.\n`);
  return isGood;
}

// Each annotation, route and condition is printed when it appears.
async function followNodes({ plane, nodes }: WholeNodes, screen: Screen, signal: AbortSignal): Promise<void> {
  const shown = new Set<string>();
  const show = (line: string): void => {
    if (shown.has(line)) return;
    shown.add(line);
    screen.detail(line);
  };
  await waitFor('all nodes are ready', READY_MS, async () => {
    signal.throwIfAborted();
    const { items } = JSON.parse(await plane.kubectl('get', 'nodes', '-o=json')) as {
      readonly items: readonly ServedNode[];
    };
    for (const { metadata, spec } of items) {
      if (spec.podCIDR !== undefined) show(`${metadata.name}  podCIDR ${spec.podCIDR}`);
      for (const [name, value] of Object.entries(metadata.annotations ?? {}))
        if (name.startsWith(PREFIX)) show(`${metadata.name}  ${name.slice(PREFIX.length)}: ${value}`);
    }
    for (const { name, host } of nodes)
      for (const route of (await host.namespace.run(['ip', 'route', 'show', 'proto', '84'])).split('\n'))
        if (route !== '') show(`${name}  route ${route.trim()}`);
    const ready = items.filter(({ status }) =>
      status.conditions.some((each) => each.type === 'Ready' && each.status === 'True'),
    );
    for (const { metadata } of ready) show(`${metadata.name}  Ready`);
    return ready.length === nodes.length && nodes.every(({ name }) => [...shown].some(isRouteOf(name)));
  });
}

const isRouteOf =
  (name: string) =>
  (line: string): boolean =>
    line.startsWith(`${name}  route `);

async function quote(screen: Screen, text: Promise<string>, without: RegExp): Promise<void> {
  for (const line of (await text).trim().split('\n')) screen.quote(line.replace(without, ''));
}
