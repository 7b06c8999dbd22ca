// Pods of the lab's image on whole nodes. Each serves `sourceSeenBy`.
import type { Container } from '../container.ts';
import { SERVE } from '../engines/image.ts';
import { namespaceOfProcess } from '../namespace.ts';
import { POD_IMAGE } from './node-images.ts';
import type { WholeNodes } from './whole-nodes.ts';

const READY = '--timeout=60s';
/** The label of all pods here. */
export const POD_LABEL = { app: 'web' } as const;

/** Starts a pod on the node of each, by its name, and waits until they run. */
export async function startPods(
  cluster: WholeNodes,
  nodeOf: Readonly<Record<string, string>>,
): Promise<readonly Container[]> {
  const names = Object.keys(nodeOf);
  await cluster.plane.apply(...names.map((name) => podOn(name, nodeOf[name] ?? '')));
  await cluster.plane.kubectl('wait', 'pod', ...names, '--for=condition=Ready', READY);
  return Promise.all(names.map((name) => findPod(cluster, name)));
}

function podOn(name: string, node: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: POD_LABEL },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'web', image: POD_IMAGE, command: SERVE }],
    },
  };
}

/** The pod of that name, which runs: its address, and the network of its process. */
export async function findPod({ plane, nodes }: WholeNodes, name: string): Promise<Container> {
  const { spec, status } = JSON.parse(await plane.kubectl('get', 'pod', name, '-o', 'json')) as ServedPod;
  const node = nodes.find((each) => each.name === spec.nodeName);
  const [container] = status.containerStatuses;
  if (node === undefined || container === undefined) throw new Error(`the pod ${name} does not run`);
  const pid = await node.pidOf(container.containerID.replace('containerd://', ''));
  return { name, address: status.podIP, namespace: namespaceOfProcess(name, pid) };
}

interface ServedPod {
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIP: string;
    readonly containerStatuses: readonly { readonly containerID: string }[];
  };
}
