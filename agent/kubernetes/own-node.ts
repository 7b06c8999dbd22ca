// Finds this node's own Node: its name by the environment, or by the pod that the agent runs in, and the Node by its
// name. Both are asked for until the API answers.
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { ApiError, record } from './api/api-error.ts';
import type { ApiClient } from './api/client.ts';
import { persist } from './api/persist.ts';
import { NODES, podsIn } from './api/resource.ts';
import type { NodeObject } from './node-object.ts';

export interface OwnNodeDeps {
  readonly client: Pick<ApiClient, 'get'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Called for each failed attempt. If it throws, there are no further ones. */
  readonly onFailure: (error: ApiError) => void;
}

/** A name, or the pod on the node of that name. */
export type NodeHint = { readonly nodeName: string } | { readonly namespace: string; readonly pod: string };

/** The Node by the environment of the agent. Fails as `usage` where that names none. The host name is never one. */
export function readNodeHint(environment: Readonly<Record<string, string | undefined>>): NodeHint {
  const { NODE_NAME: nodeName, POD_NAME: pod, POD_NAMESPACE: namespace } = environment;
  if (nodeName) return { nodeName };
  if (pod && namespace) return { pod, namespace };
  throw new TwillError('usage', '--kube-subnet-mgr: the variable NODE_NAME is not set', {
    hint: "set it to the name of this host's Node: in a pod by the downward API, from spec.nodeName",
  });
}

/** The name of the own Node. Fails with the reason of an aborted signal, or with what `onFailure` throws. */
export async function findNodeName(hint: NodeHint, deps: OwnNodeDeps, signal: AbortSignal): Promise<string> {
  if ('nodeName' in hint) return hint.nodeName;
  const { namespace, pod } = hint;
  const attempt = async (): Promise<string> => {
    const found = await deps.client.get(podsIn(namespace), pod, signal);
    const { nodeName } = record(record(found)['spec']);
    if (typeof nodeName === 'string' && nodeName !== '') return nodeName;
    throw new ApiError('not-found', `the pod ${namespace}/${pod} is on no Node`, {
      hint: 'POD_NAMESPACE and POD_NAME must be those of this pod; NODE_NAME takes their place',
    });
  };
  return persist({ ...deps, attempt }, signal);
}

/** The Node of this name, as soon as it exists. Fails like `findNodeName`. */
export async function findNode(
  name: string,
  read: (object: unknown) => NodeObject | undefined,
  deps: OwnNodeDeps,
  signal: AbortSignal,
): Promise<NodeObject> {
  const attempt = async (): Promise<NodeObject> => {
    const node = read(await deps.client.get(NODES, name, signal));
    if (node !== undefined) return node;
    throw new ApiError('not-found', `Node ${name} does not exist`, {
      hint: 'a start of kubelet registers it; NODE_NAME must be its name',
    });
  };
  return persist({ ...deps, attempt }, signal);
}
