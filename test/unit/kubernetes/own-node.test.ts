// The name of the own Node, and what the node reads in its annotations.
import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import { announcedMac, readAddress } from '../../../agent/kubernetes/own-annotations.ts';
import { findNode, findNodeName, readNodeHint } from '../../../agent/kubernetes/own-node.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { vxlanAnnotations } from '../../support/node-json.ts';
import { nodeObject } from '../../support/node-object.ts';

const never = new AbortController().signal;
const POD = { POD_NAME: 'twill-x', POD_NAMESPACE: 'kube-flannel' };

describe('the name of the own Node', () => {
  it.each([
    [{ NODE_NAME: 'n1', ...POD }, { nodeName: 'n1' }],
    [
      { NODE_NAME: '', ...POD },
      { pod: 'twill-x', namespace: 'kube-flannel' },
    ],
  ])('is that of the environment: %j', (environment, hint) => {
    expect(readNodeHint(environment)).toEqual(hint);
  });

  it.each([{}, { POD_NAME: 'twill-x' }, { POD_NAMESPACE: 'kube-flannel' }])(
    'must be there: %j',
    (environment) => {
      expect(() => readNodeHint(environment)).toThrow('--kube-subnet-mgr: the variable NODE_NAME is not set');
    },
  );

  it('is asked of the pod until the API answers, with growing pauses', async () => {
    const clock = createVirtualClock();
    const answers = [
      new ApiError('unreachable', 'cannot get pods: connection refused'),
      new ApiError('forbidden', 'cannot get pods: HTTP status 403', { hint: 'its ClusterRole needs it' }),
      undefined,
      { spec: {} },
      { spec: { nodeName: 'n1' } },
    ];
    const asked: unknown[] = [];
    const failures: string[] = [];
    const client = {
      async get(...args: readonly unknown[]) {
        asked.push([args[0], args[1]]);
        const answer = answers.shift();
        if (answer instanceof ApiError) throw answer;
        return answer;
      },
    };
    const deps = {
      client,
      clock,
      random: () => 0.5,
      onFailure: (error: ApiError) => failures.push(error.message),
    };
    const name = findNodeName(readNodeHint(POD), deps, never);
    await clock.advance(30_000);
    expect(await name).toBe('n1');
    expect(asked[0]).toEqual([{ apiVersion: 'v1', plural: 'pods', namespace: 'kube-flannel' }, 'twill-x']);
    expect(failures).toEqual([
      'cannot get pods: connection refused',
      'cannot get pods: HTTP status 403',
      'the pod kube-flannel/twill-x is on no Node',
      'the pod kube-flannel/twill-x is on no Node',
    ]);
  });

  it('is waited for until there is a Node of that name', async () => {
    const clock = createVirtualClock();
    let there = false;
    const failures: string[] = [];
    const deps = {
      client: { get: async () => (there ? 'node' : undefined) },
      clock,
      random: () => 0.5,
      onFailure: (error: ApiError) => failures.push(error.message),
    };
    const found = findNode(
      'n1',
      (object) => (object === undefined ? undefined : nodeObject({})),
      deps,
      never,
    );
    await clock.advance(2_000);
    there = true;
    await clock.advance(60_000);
    expect((await found).name).toBe('n1');
    expect(failures[0]).toBe('Node n1 does not exist');
  });
});

describe('an address that an operator wrote into an annotation', () => {
  it.each([
    [undefined, undefined, undefined],
    ['', undefined, undefined],
    ['203.0.113.7', '203.0.113.7', undefined],
    ['fd00::1', undefined, 'must be an IPv4 address that other hosts can reach, is "fd00::1"'],
    ['127.0.0.1', undefined, 'must be an IPv4 address that other hosts can reach, is "127.0.0.1"'],
  ])('%j is the address %j', (text, address, fault) => {
    const found = readAddress(
      nodeObject(text === undefined ? {} : { 'node-public-ip': text }),
      'node-public-ip',
    );
    expect(found.address).toBe(address);
    if (fault === undefined) expect(found.fault).toBeUndefined();
    else expect(found.fault).toContain(`the annotation node-public-ip of this Node ${fault}`);
  });
});

describe('the MAC that peers know', () => {
  const vxlan = vxlanAnnotations('192.168.77.2', '0A:00:00:00:00:05');

  it('is that of the annotation', () => {
    expect(announcedMac(nodeObject(vxlan))).toBe('0a:00:00:00:00:05');
  });

  it.each([
    ['of another backend', { ...vxlan, 'backend-type': 'host-gw' }],
    ['of no JSON', { ...vxlan, 'backend-data': '{' }],
    ['null', { ...vxlan, 'backend-data': 'null' }],
    ['of all zeros', vxlanAnnotations('192.168.77.2', '00:00:00:00:00:00')],
    ['of a group', vxlanAnnotations('192.168.77.2', '01:00:5e:00:00:01')],
    ['of another form', vxlanAnnotations('192.168.77.2', '0a0000000005')],
    ['missing', {}],
  ])('is none where the annotation is %s', (_, annotations) => {
    expect(announcedMac(nodeObject(annotations))).toBeUndefined();
  });
});
