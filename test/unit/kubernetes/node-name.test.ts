import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import type { ApiClient } from '../../../agent/kubernetes/api/client.ts';
import { pathOf, type Resource } from '../../../agent/kubernetes/api/resource.ts';
import { findNodeName } from '../../../agent/kubernetes/node-name.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';

const POD = { POD_NAME: 'agent-x', POD_NAMESPACE: 'kube-twill' };
const never = new AbortController().signal;

function start(env: Readonly<Record<string, string>>, answers: unknown[]) {
  const clock = createVirtualClock();
  const asked: string[] = [];
  const { log, lines } = captureLog('kubernetes');
  const client = {
    async get(resource: Resource, name: string) {
      asked.push(pathOf(resource, name));
      const answer = answers.shift();
      if (answer instanceof ApiError) throw answer;
      return answer;
    },
  } as unknown as ApiClient;
  const found = findNodeName(env, { client, clock, random: () => 0, log }, never);
  found.catch(() => undefined);
  return { clock, asked, lines, found };
}

describe('the name of the own Node', () => {
  it('is that of the environment, without a request', async () => {
    const { found, asked } = start({ ...POD, NODE_NAME: 'n1' }, []);
    expect([await found, asked]).toEqual(['n1', []]);
  });

  it('is read from the pod, for as long as the API does not answer', async () => {
    const refusals = [
      new ApiError('unreachable', 'cannot get pods'),
      new ApiError('busy', 'cannot get pods'),
    ];
    const { found, asked, clock, lines } = start(POD, [...refusals, { spec: { nodeName: 'n1' } }]);
    await clock.advance(10_000);
    expect(await found).toBe('n1');
    expect(asked).toEqual(Array.from({ length: 3 }, () => '/api/v1/namespaces/kube-twill/pods/agent-x'));
    expect(lines.length).toBe(2);
  });

  it.each([[undefined], [{ spec: {} }], [{ spec: { nodeName: '' } }], ['text']])(
    'is not that of a pod that is %j',
    async (pod) => {
      await expect(start(POD, [pod]).found).rejects.toMatchObject({
        code: 'usage',
        message: 'the pod kube-twill/agent-x of POD_NAMESPACE and POD_NAME is on no node',
      });
    },
  );

  it.each([{}, { POD_NAME: 'a' }, { POD_NAMESPACE: 'b' }, { NODE_NAME: '' }])(
    'is unknown with %j',
    async (env) => {
      await expect(start(env, []).found).rejects.toMatchObject({
        code: 'usage',
        message: 'neither NODE_NAME nor both of POD_NAME and POD_NAMESPACE are set',
      });
    },
  );
});
