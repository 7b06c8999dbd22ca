// Kubernetes as the store of leases, over a server that the test scripts.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { openKubernetes } from '../../../agent/kubernetes/open-kubernetes.ts';
import { createLeaseTable } from '../../../agent/lease/lease-table.ts';
import type { KubernetesOptions } from '../../../agent/model/datastore-options.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import {
  type ApiCall,
  type ScriptedApi,
  sendJson,
  sendStatus,
  startScriptedApi,
} from '../../fakes/scripted-api.ts';
import { captureLog } from '../../support/capture-log.ts';
import { listJson, nodeJson, vxlanAnnotations } from '../../support/node-json.ts';
import { CONFIG, ownAttrs } from './holder-bed.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-open-kube-'));
  await writeFile(join(folder, 'net-conf.json'), CONFIG);
});
afterAll(() => rm(folder, { recursive: true }));

const options = (api: ScriptedApi, more: Partial<KubernetesOptions> = {}): KubernetesOptions => ({
  kind: 'kubernetes',
  apiUrl: { text: api.url, source: '--kube-api-url' },
  kubeconfigFile: undefined,
  annotationPrefix: { text: 'flannel.alpha.coreos.com', source: '--kube-annotation-prefix' },
  netConfigPath: join(folder, 'net-conf.json'),
  setsNetworkUnavailable: true,
  environment: { NODE_NAME: 'n1' },
  ...more,
});

const failures: string[] = [];
const deps = (log = captureLog('kubernetes').log) => ({
  clock: systemClock,
  random: () => 0,
  log,
  onFailure: (error: Error) => failures.push(error.message),
  nodeCache: undefined as string | undefined,
});
const ended = () => AbortSignal.abort(new Error('stopped'));
const never = new AbortController().signal;

/** A cluster of two Nodes, of which n1 takes patches. */
function cluster(annotations: Readonly<Record<string, string>>): (call: ApiCall) => unknown {
  const n1 = nodeJson('n1', { annotations });
  const n2 = nodeJson('n2', { podCidrs: ['10.244.2.0/24'], address: '192.168.77.3' });
  return ({ method, path }) => {
    if (method === 'PATCH')
      return nodeJson('n1', { annotations: vxlanAnnotations('192.168.77.2'), version: 9 });
    if (path === '/api/v1/namespaces/kube-flannel/pods/twill-x') return { spec: { nodeName: 'n1' } };
    return path === '/api/v1/nodes/n1' ? n1 : listJson([n1, n2], 5);
  };
}

describe('Kubernetes as the store of leases', () => {
  it('finds the own Node by the pod, gives the leases of the others, and announces this one', async () => {
    const answer = cluster({
      'node-public-ip': '203.0.113.7',
      ...vxlanAnnotations('10.0.0.1', '02:00:00:00:00:0a'),
    });
    let refusals = 1;
    await using api = await startScriptedApi((call, response) => {
      if (call.query.get('watch') !== null) response.writeHead(200).flushHeaders();
      else if (refusals-- > 0) sendStatus(response, 503, 'starting');
      else sendJson(response, answer(call));
    });
    const environment = { POD_NAME: 'twill-x', POD_NAMESPACE: 'kube-flannel' };
    const opened = captureLog('kubernetes');
    await using kubernetes = await openKubernetes(options(api, { environment }), deps(opened.log), never);
    expect(opened.lines.join()).toContain(
      'flannel.alpha.coreos.com/node-public-ip of this Node takes the place',
    );
    expect(failures.pop()).toContain('starting');
    expect(kubernetes).toMatchObject({
      nodeName: 'n1',
      publicIP: '203.0.113.7',
      announcedMac: '02:00:00:00:00:0a',
      addresses: ['127.0.0.1'],
    });
    const end = new AbortController();
    const table = createLeaseTable();
    for await (const event of kubernetes.nodes.watch(end.signal)) {
      table.apply(event);
      if (table.isComplete) break;
    }
    expect(table.leases.map(({ key }) => key)).toEqual(['n2']);
    expect(table.config).toBe(await kubernetes.configSource.read());
    const { log } = captureLog('lease');
    const config = parseNetworkConfig(CONFIG, 'net-conf.json');
    const holder = kubernetes.createHolder({
      log,
      config,
      attrs: ownAttrs(),
      known: table,
      spared: () => [],
    });
    const running = holder.run(() => undefined, end.signal).catch(() => undefined);
    await expect.poll(() => holder.conditions()).toEqual([]);
    end.abort();
    await running;
    const patch = api.calls.find(({ method }) => method === 'PATCH');
    expect(patch).toMatchObject({
      path: '/api/v1/nodes/n1/status',
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    });
    // The keys that differ, and no others.
    const prefix = 'flannel.alpha.coreos.com';
    expect(JSON.parse(patch?.body ?? '')).toEqual({
      metadata: {
        annotations: {
          [`${prefix}/backend-data`]: '{"VNI":1,"VtepMAC":"02:00:00:00:00:02"}',
          [`${prefix}/public-ip`]: '192.168.77.2',
        },
      },
    });
  });

  it('asks nothing of the API where an option cannot work', async () => {
    await using api = await startScriptedApi((_, response) => sendStatus(response, 500, 'asked'));
    const refused: readonly (readonly [Partial<KubernetesOptions>, string])[] = [
      [{ environment: {} }, 'the variable NODE_NAME is not set'],
      [{ netConfigPath: '/none' }, 'cannot read the network configuration /none'],
      [{ kubeconfigFile: '/none' }, 'cannot read the kubeconfig /none'],
      [
        { apiUrl: { text: 'ftp://a', source: 'FLANNELD_KUBE_API_URL' } },
        'FLANNELD_KUBE_API_URL: must be a URL',
      ],
      [{ apiUrl: undefined }, 'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set'],
      [
        { annotationPrefix: { text: 'a/b/c', source: '--kube-annotation-prefix' } },
        '--kube-annotation-prefix: must be a DNS name',
      ],
    ];
    for (const [more, message] of refused)
      await expect(openKubernetes(options(api, more), deps(), never)).rejects.toThrow(message);
    expect(api.calls).toEqual([]);
  });

  it.each([
    ['http://192.0.2.1:8080', 1],
    ['https://192.0.2.1:6443', 0],
    ['http://127.0.0.1:8080', 0],
  ])('warns of a token in clear text: to %s %d times', async (server, warnings) => {
    const kubeconfigFile = join(folder, 'kubeconfig');
    const config = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
    };
    await writeFile(kubeconfigFile, JSON.stringify(config));
    await using api = await startScriptedApi((_, response) => sendStatus(response, 500, 'asked'));
    const { log, lines } = captureLog('kubernetes');
    const opened = openKubernetes(options(api, { apiUrl: undefined, kubeconfigFile }), deps(log), ended());
    await expect(opened).rejects.toThrow('stopped');
    const told = lines.filter((line) => line.includes('the token crosses the network in clear text'));
    expect(told.length).toBe(warnings);
    expect(lines.join()).not.toContain('secret');
  });

  it('ends its attempts when it is told to', async () => {
    await using api = await startScriptedApi((_, response) => sendStatus(response, 500, 'asked'));
    await expect(openKubernetes(options(api), deps(), ended())).rejects.toThrow('stopped');
  });
});
