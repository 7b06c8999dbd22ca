// The agent with the rights of its pod, and its token in the hands of somebody else. A real API server has the
// manifests, and a program runs with the capabilities, mounts and arguments that they give.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { messageOf } from '../../agent/base/errors.ts';
import type { JsonValue } from '../../agent/base/schema.ts';
import type { Patch } from '../../agent/kubernetes/api/client.ts';
import { NODES } from '../../agent/kubernetes/api/resource.ts';
import { type ApiServer, startApiServer } from '../lab/kubernetes/api-server.ts';
import { run } from '../lab/namespace.ts';
import { PROJECT_ROOT, TWILL } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsProgram, title } from '../support/needs.ts';
import { clientOf, NEEDS_API_SERVER, never, newNode } from './bed.ts';
import { isDaemonSet, MANIFESTS, type Manifest } from './manifests.ts';

const NEEDS = allOf(NEEDS_PRIVATE_NETNS, NEEDS_API_SERVER, needsProgram('setpriv'));
const PREFIX = 'flannel.alpha.coreos.com';
// By /var/run, a link to /run.
const ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount';
const START_MS = 30_000;
// The machine's files as a root that nobody can write, with the volumes of the pod in it. $1 is the checkout, $2 a file
// with a line for each volume: its source, its place, and rw or ro. The rest is the program.
const POD = `
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/changes /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/changes,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
for folder in proc sys dev; do mount --rbind /$folder $folder; done
mount -t tmpfs -o mode=755 tmpfs run
place() {
  if test -d "$1"; then mkdir -p ".$2"; else mkdir -p ".\${2%/*}"; touch ".$2"; fi
  mount --bind "$1" ".$2"
  test "$3" = rw || mount -o remount,bind,ro ".$2"
}
place "$1" "$1" ro
while read -r source target mode; do place "$source" "$target" "$mode"; done < "$2"
shift 2
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -o remount,ro run
mount -o remount,ro .
exec chroot . setpriv --bounding-set=-all,+net_admin,+net_raw --no-new-privs -- "$@"
`;
/** CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13. */
const TWO_CAPABILITIES = '0000000000003000';

interface ServedNode {
  readonly metadata: {
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: unknown;
  readonly status: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
}

describe.skipIf(NEEDS.missing)(title('the rights of the pod of an agent', NEEDS), () => {
  let server: ApiServer;
  let objects: readonly Manifest[];
  let cleanUp: readonly Manifest[];
  let token: string;
  const file = (name: string): string => join(server.folder, name);
  const nodeOf = async (name: string): Promise<ServedNode> =>
    (await server.admin('GET', `/api/v1/nodes/${name}`)) as ServedNode;
  const patch = async (name: string, body: JsonValue): Promise<unknown> => {
    using client = clientOf(server, token);
    const status: Patch = { type: 'strategic', subresource: 'status', body };
    return await client.patch(NODES, name, status, never);
  };
  const annotate = (name: string, values: Readonly<Record<string, string | null>>): Promise<unknown> =>
    patch(name, { metadata: { annotations: values } });

  beforeAll(async () => {
    server = await startApiServer();
    for (const name of ['n1', 'n2']) {
      const annotations = { 'example.org/other': 'kept', [`${PREFIX}/public-ip-overwrite`]: '192.168.80.1' };
      await server.admin('POST', '/api/v1/nodes', newNode(name, `10.244.${name.slice(1)}.0/24`, annotations));
      const condition = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' };
      await server.admin(
        'PATCH',
        `/api/v1/nodes/${name}/status`,
        { status: { conditions: [condition], daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } } } },
        'application/merge-patch+json',
      );
    }
    const apply = async (folder: string): Promise<readonly Manifest[]> =>
      JSON.parse(await server.kubectl('apply', '-o', 'json', '-k', join(MANIFESTS, folder))).items;
    objects = await apply('base');
    cleanUp = await apply('overlays/clean-up');
    const pods = '/api/v1/namespaces/twill/pods';
    const pod = (await server.admin('POST', pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'twill-n1', namespace: 'twill' },
      spec: { nodeName: 'n1', serviceAccountName: 'twill', containers: [{ name: 'twill', image: 'twill' }] },
    })) as { readonly metadata: { readonly uid: string } };
    const bound = { kind: 'Pod', apiVersion: 'v1', name: 'twill-n1', uid: pod.metadata.uid };
    const answer = (await server.admin('POST', '/api/v1/namespaces/twill/serviceaccounts/twill/token', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { boundObjectRef: bound },
    })) as { readonly status: { readonly token: string } };
    token = answer.status.token;
    // The server learns of a policy by a watch.
    await waitFor('the policy is in force', START_MS, () =>
      annotate('n2', { [`${PREFIX}/public-ip`]: '192.168.80.9' }).then(
        () => false,
        (error: unknown) => messageOf(error).includes('own Node alone'),
      ),
    );
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  it('a token writes to the Node of its pod and to no other', async () => {
    await annotate('n1', { [`${PREFIX}/public-ip`]: '192.168.80.1', [`${PREFIX}/backend-type`]: 'vxlan' });
    expect((await nodeOf('n1')).metadata.annotations).toMatchObject({ [`${PREFIX}/backend-type`]: 'vxlan' });
    await expect(annotate('n2', { [`${PREFIX}/backend-type`]: 'vxlan' })).rejects.toThrow(
      'the token of an agent writes to its own Node alone, which is not n2',
    );
    expect((await nodeOf('n2')).metadata.annotations).not.toHaveProperty(`${PREFIX}/backend-type`);
  });

  it.each([
    ['adds an annotation of others', { 'example.org/new': 'x' }],
    ['changes an annotation of others', { 'example.org/other': 'x' }],
    ['removes an annotation of others', { 'example.org/other': null }],
    [
      "changes the operator's annotation of our prefix",
      { [`${PREFIX}/public-ip-overwrite`]: '192.168.80.9' },
    ],
    ["removes the operator's annotation of our prefix", { [`${PREFIX}/public-ip-overwrite`]: null }],
  ])('no token %s', async (_, values: Readonly<Record<string, string | null>>) => {
    const before = (await nodeOf('n1')).metadata.annotations;
    await expect(annotate('n1', values)).rejects.toThrow("changes no annotation but the agent's own");
    expect((await nodeOf('n1')).metadata.annotations).toEqual(before);
  });

  it('a token changes the condition NetworkUnavailable and no other', async () => {
    const change = (type: string, status: string) =>
      patch('n1', { status: { conditions: [{ type, status, reason: 'Test' }] } });
    await change('NetworkUnavailable', 'True');
    await expect(change('Ready', 'False')).rejects.toThrow('changes no condition but NetworkUnavailable');
    const found = (await nodeOf('n1')).status.conditions ?? [];
    expect(found.map(({ type, status }) => `${type} ${status}`).toSorted()).toEqual([
      'NetworkUnavailable True',
      'Ready True',
    ]);
  });

  it.each([
    ['labels', { metadata: { labels: { pool: 'x' } } }, 'changes neither labels'],
    ['finalizers', { metadata: { finalizers: ['example.org/x'] } }, 'changes neither labels'],
    [
      'the port of a kubelet',
      { status: { daemonEndpoints: { kubeletEndpoint: { Port: 1 } } } },
      'but a condition',
    ],
    [
      'addresses',
      { status: { addresses: [{ type: 'InternalIP', address: '192.0.2.9' }] } },
      'but a condition',
    ],
    ['the capacity', { status: { capacity: { cpu: '9' } } }, 'but a condition'],
  ])('no token changes %s', async (_, body, line) => {
    const before = await nodeOf('n1');
    await expect(patch('n1', body)).rejects.toThrow(line);
    expect(await nodeOf('n1')).toEqual(before);
  });

  it('no token changes the spec', async () => {
    const before = (await nodeOf('n1')).spec;
    await patch('n1', { spec: { unschedulable: true, taints: [{ key: 'x', effect: 'NoExecute' }] } });
    expect((await nodeOf('n1')).spec).toEqual(before);
  });

  it('a token that no pod holds writes nothing', async () => {
    const { status } = (await server.admin('POST', '/api/v1/namespaces/twill/serviceaccounts/twill/token', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    })) as { readonly status: { readonly token: string } };
    using client = clientOf(server, status.token);
    const body = { metadata: { annotations: { [`${PREFIX}/backend-type`]: '' } } };
    const attempt = client.patch(NODES, 'n1', { type: 'strategic', subresource: 'status', body }, never);
    await expect(attempt).rejects.toThrow('writes to its own Node alone');
  });

  it('the agent and the clean-up run with two capabilities, a read-only root and the mounts of the pod', async () => {
    const pod = objects.find(isDaemonSet)?.spec.template.spec;
    const [container] = pod?.containers ?? [];
    if (pod === undefined || container === undefined) throw new Error('the base has no DaemonSet');
    await run(['ip', 'link', 'add', 'pod-up', 'type', 'veth', 'peer', 'name', 'pod-up-end']);
    onTestFinished(async () => void (await run(['ip', 'link', 'delete', 'pod-up'])));
    await run(['ip', 'link', 'set', 'pod-up-end', 'up']);
    await run(['ip', 'address', 'add', '192.168.80.1/24', 'dev', 'pod-up']);
    await run(['ip', 'link', 'set', 'pod-up', 'up']);
    await run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    // The folders of the host, the ConfigMap and the projected token.
    const binds: string[] = [];
    for (const { name, mountPath, readOnly } of container.volumeMounts ?? []) {
      const volume = pod.volumes.find((each) => each.name === name);
      const source = file(`volume-${name}`);
      if (volume?.hostPath?.type.startsWith('File')) {
        await writeFile(source, name === 'machine-id' ? '0123456789abcdef0123456789abcdef\n' : '');
      } else await mkdir(source);
      if (volume?.configMap !== undefined) {
        const conf = await readFile(join(MANIFESTS, 'base/net-conf.json'));
        await writeFile(join(source, 'net-conf.json'), conf);
      }
      binds.push(`${source} ${mountPath} ${readOnly === true ? 'ro' : 'rw'}`);
    }
    await mkdir(file('volume-account'));
    await writeFile(file('volume-account/token'), token);
    await writeFile(file('volume-account/ca.crt'), await readFile(server.caFile));
    binds.push(`${file('volume-account')} ${ACCOUNT} ro`);
    await writeFile(file('volumes'), `${binds.join('\n')}\n`);
    const start = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', POD, 'pod'] as const;
    const inPod = (args: readonly string[]) =>
      [...start, PROJECT_ROOT, file('volumes'), ...TWILL, ...args] as const;
    const agent = new LabProcess(inPod(container.args ?? []), file('agent.log'), {
      NODE_NAME: 'n1',
      // The namespace has no default route.
      FLANNELD_IFACE: 'pod-up',
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: new URL(server.url).port,
    });
    try {
      await waitFor('the agent is ready', START_MS, async () => {
        if (!agent.isRunning) throw new Error(await agent.epitaph());
        return fetch('http://127.0.0.1:9472/readyz').then(
          ({ status }) => status === 200,
          () => false,
        );
      });
      const status = await readFile(`/proc/${agent.pid}/status`, 'utf8');
      for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
        expect(new RegExp(`^${set}:\\s+(\\S+)$`, 'm').exec(status)?.[1]).toBe(TWO_CAPABILITIES);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
      const { metadata } = await nodeOf('n1');
      expect(metadata.annotations).toMatchObject({
        [`${PREFIX}/backend-type`]: 'vxlan',
        [`${PREFIX}/kube-subnet-manager`]: 'true',
        [`${PREFIX}/public-ip`]: '192.168.80.1',
        'example.org/other': 'kept',
      });
      await waitFor("the condition is the agent's", START_MS, async () =>
        (await nodeOf('n1')).status.conditions?.some(({ reason }) => reason === 'FlannelIsUp'),
      );
      expect(await readFile(file('volume-run/subnet.env'), 'utf8')).toContain('FLANNEL_SUBNET=10.244.1.1/24');
      const list = await readFile(file('volume-cni-conf/10-flannel.conflist'), 'utf8');
      expect(JSON.parse(list).name).toBe('cbr0');
      expect(await run(['ip', 'link', 'show', 'flannel.1'])).toContain('UP');
      // Nothing failed for want of a right.
      expect(await agent.log()).not.toMatch(/EPERM|EACCES|EROFS|not permitted|permission|read-only/i);
    } finally {
      await agent.stop('SIGTERM');
    }
    const cleaner = cleanUp.find(isDaemonSet)?.spec.template.spec.initContainers?.[0];
    const removed = await run(inPod(cleaner?.args ?? []));
    expect(removed).toContain('flannel.1');
    expect(removed).toContain('file /run/flannel/subnet.env');
    expect(removed).toContain('file /etc/cni/net.d/10-flannel.conflist');
    expect(await run(['ip', 'link', 'show'])).not.toContain('flannel.1');
    await expect(readFile(file('volume-cni-conf/10-flannel.conflist'))).rejects.toThrow('ENOENT');
  });
});
