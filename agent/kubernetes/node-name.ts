// The name of this node's own Node: given by the pod's environment, or read from the pod. The host's name is never it.
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { record } from './api/api-error.ts';
import type { ApiClient } from './api/client.ts';
import { persist } from './api/persist.ts';
import { podsIn } from './api/resource.ts';

export interface NodeNameDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * `NODE_NAME`; else the node of the pod that `POD_NAME` and `POD_NAMESPACE` name, which needs the right to get pods.
 * The API is asked until it answers. Fails as `usage` where neither is set or there is no such pod.
 */
export async function findNodeName(
  env: Readonly<Record<string, string | undefined>>,
  { client, clock, random, log }: NodeNameDeps,
  signal: AbortSignal,
): Promise<string> {
  if (env['NODE_NAME']) return env['NODE_NAME'];
  const { POD_NAME: name, POD_NAMESPACE: namespace } = env;
  if (!name || !namespace) {
    throw new TwillError('usage', 'neither NODE_NAME nor both of POD_NAME and POD_NAMESPACE are set', {
      hint: 'set NODE_NAME to the name of the Node: in a pod, from the field spec.nodeName',
    });
  }
  const pod = await persist(
    {
      clock,
      random,
      attempt: () => client.get(podsIn(namespace), name, signal),
      onFailure: ({ message, hint }) =>
        log.warn(message, { hint: hint ?? 'set NODE_NAME, which spares this request' }),
    },
    signal,
  );
  const { nodeName } = record(record(pod)['spec']);
  if (typeof nodeName === 'string' && nodeName !== '') return nodeName;
  throw new TwillError('usage', `the pod ${namespace}/${name} of POD_NAMESPACE and POD_NAME is on no node`, {
    hint: 'set NODE_NAME to the name of the Node',
  });
}
