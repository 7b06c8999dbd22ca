// The client against a real API server.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { annotationNames, DEFAULT_PREFIX } from '../../agent/kubernetes/annotation-names.ts';
import { createApiClient } from '../../agent/kubernetes/api/client.ts';
import { kubeconfigAccess } from '../../agent/kubernetes/api/kubeconfig.ts';
import { NODES } from '../../agent/kubernetes/api/resource.ts';
import { changesOf, formatAnnouncement } from '../../agent/kubernetes/node-lease.ts';
import { createNodeReader, type NodeObject } from '../../agent/kubernetes/node-object.ts';
import { annotationPatch, networkAvailablePatch } from '../../agent/kubernetes/node-patch.ts';
import { type ApiServer, startApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import { mapLimited } from '../lab/wait.ts';
import { leaseAttrs } from '../support/build.ts';
import { title } from '../support/needs.ts';
import { clientOf, grant, LEAST_RIGHTS, NEEDS_API_SERVER, never, newNode } from './bed.ts';

const names = annotationNames(DEFAULT_PREFIX, 'prefix');
const read = createNodeReader(names);
const nameOf = (object: unknown): string => (object as { metadata: { name: string } }).metadata.name;
const STATUS = { type: 'strategic', subresource: 'status' } as const;

describe.skipIf(NEEDS_API_SERVER.missing)(title('a client of a real API server', NEEDS_API_SERVER), () => {
  let server: ApiServer;

  beforeAll(async () => {
    server = await startApiServer();
    await server.admin('POST', '/api/v1/nodes', newNode('n1', '10.244.1.0/24'));
    await grant(server, LEAST_RIGHTS);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('announces a node through the sub-resource status, with no more rights than flannel has', async () => {
    using client = clientOf(server, TOKENS.agent);
    const before = read(await client.get(NODES, 'n1', never)) as NodeObject;
    const attrs = {
      ...leaseAttrs('192.168.77.2', { backendType: 'vxlan' }),
      backendData: { ipv4: { VNI: 1, VtepMAC: '02:00:00:00:00:02' } },
    };
    const changes = changesOf(before, formatAnnouncement(attrs)) ?? {};
    const after = read(await client.patch(NODES, 'n1', annotationPatch(names, changes), never));
    expect(after?.annotations).toEqual(formatAnnouncement(attrs));
    expect(after?.podCidrs).toEqual(['10.244.1.0/24']);
    expect(changesOf(after as NodeObject, formatAnnouncement(attrs))).toBeUndefined();
  });

  it('merges a condition into the others with a strategic patch', async () => {
    using client = clientOf(server, TOKENS.agent);
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    await client.patch(NODES, 'n1', { ...STATUS, body: { status: ready } }, never);
    const node = await client.patch(NODES, 'n1', networkAvailablePatch(systemClock.wallMs()), never);
    const { conditions } = (node as { status: { conditions: { type: string }[] } }).status;
    expect(conditions.map(({ type }) => type).sort()).toEqual(['NetworkUnavailable', 'Ready']);
    expect(read(node)?.networkUnavailable).toBe('False');
  });

  it('changes nothing but annotations, labels and status through that sub-resource', async () => {
    using client = clientOf(server, TOKENS.agent);
    const body = { metadata: { name: 'n1' }, spec: { unschedulable: true } };
    const node = await client.patch(NODES, 'n1', { type: 'merge', subresource: 'status', body }, never);
    expect((node as { spec: object }).spec).not.toHaveProperty('unschedulable');
  });

  it('gives undefined for a Node that does not exist', async () => {
    using client = clientOf(server, TOKENS.agent);
    expect(await client.get(NODES, 'none', never)).toBeUndefined();
  });

  it.each([
    ['get', 'nodes'],
    ['list', 'nodes'],
    ['watch', 'nodes'],
    ['patch', 'nodes/status'],
  ] as const)('names the missing right to %s %s', async (verb, resource) => {
    await grant(
      server,
      LEAST_RIGHTS.map(({ resources, verbs }) => ({
        resources,
        verbs: verbs.filter((each) => each !== verb),
      })).filter(({ verbs }) => verbs.length > 0),
    );
    using client = clientOf(server, TOKENS.agent);
    const calls = {
      get: () => client.get(NODES, 'n1', never),
      list: () => client.list(NODES, nameOf, never),
      watch: () => client.watch(NODES, '0', nameOf, never),
      patch: () => client.patch(NODES, 'n1', { ...STATUS, body: {} }, never),
    };
    // The server learns of the changed role after a moment.
    await expect
      .poll(() =>
        calls[verb]().then(
          () => undefined,
          (error: unknown) => error,
        ),
      )
      .toMatchObject({
        kind: 'forbidden',
        hint: `its ClusterRole needs the verb ${verb} on ${resource}`,
        message: expect.stringContaining(
          `cannot ${verb} ${resource} at ${server.url}: HTTP status 403: nodes`,
        ),
      });
    await grant(server, LEAST_RIGHTS);
    await expect
      .poll(() =>
        calls[verb]().then(
          () => 'allowed',
          () => 'refused',
        ),
      )
      .toBe('allowed');
  });

  it("says why kubelet's identity may not list", async () => {
    using client = clientOf(server, TOKENS.kubelet);
    await expect(client.list(NODES, nameOf, never)).rejects.toMatchObject({
      kind: 'forbidden',
      hint: expect.stringContaining('the identity of kubelet'),
    });
    expect(nameOf(await client.get(NODES, 'n1', never))).toBe('n1');
  });

  it('tells an unknown token, and the lack of one', async () => {
    using unknown = clientOf(server, 'wrong');
    await expect(unknown.get(NODES, 'n1', never)).rejects.toMatchObject({ kind: 'unauthorized' });
    using anonymous = clientOf(server, '', { token: undefined });
    await expect(anonymous.get(NODES, 'n1', never)).rejects.toMatchObject({
      kind: 'forbidden',
      hint: expect.stringContaining('no credentials'),
    });
  });

  it('shows a client certificate', async () => {
    const { cert, key } = server.clientFiles;
    using client = clientOf(server, '', {
      token: undefined,
      client: { cert: { file: cert }, key: { file: key } },
    });
    expect(nameOf(await client.get(NODES, 'n1', never))).toBe('n1');
  });

  it('goes on with the token of a ServiceAccount that is exchanged in its file', async () => {
    await server.admin('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'agent' } });
    const file = join(server.folder, 'token');
    using client = clientOf(server, '', { token: { file } });
    await writeFile(file, await server.kubectl('create', 'token', 'agent'));
    expect(nameOf(await client.get(NODES, 'n1', never))).toBe('n1');
    await writeFile(file, 'of another cluster');
    await expect(client.get(NODES, 'n1', never)).rejects.toThrow('not one of printable characters');
    await writeFile(file, 'expired');
    await expect(client.get(NODES, 'n1', never)).rejects.toMatchObject({ kind: 'unauthorized' });
    await writeFile(file, await server.kubectl('create', 'token', 'agent'));
    expect(nameOf(await client.get(NODES, 'n1', never))).toBe('n1');
  });

  it.each([
    ['inline', '--embed-certs=true'],
    ['file', '--embed-certs=false'],
  ])('reads a kubeconfig that kubectl writes, with %s credentials', async (_, embed) => {
    const path = join(server.folder, `config-${embed}`);
    const config = (...words: readonly string[]) =>
      server.kubectl('config', `--kubeconfig=${path}`, ...words);
    await config(
      'set-cluster',
      'c',
      `--server=${server.url}`,
      `--certificate-authority=${server.caFile}`,
      embed,
    );
    const { cert, key } = server.clientFiles;
    await config('set-credentials', 'u', `--client-certificate=${cert}`, `--client-key=${key}`, embed);
    await config('set-context', 'x', '--cluster=c', '--user=u');
    await config('use-context', 'x');
    using client = createApiClient(await kubeconfigAccess(path), {
      clock: systemClock,
      random: systemRandom,
    });
    expect(nameOf(await client.get(NODES, 'n1', never))).toBe('n1');
  });

  it('lists 1,100 Nodes in three pages, and watches from there', async () => {
    const many = Array.from({ length: 1_100 }, (_, index) => `page-${index}`);
    await mapLimited(many, 16, async (name) => server.admin('POST', '/api/v1/nodes', newNode(name)));
    using client = clientOf(server, TOKENS.agent);
    const { items, resourceVersion } = await client.list(NODES, nameOf, never);
    expect(new Set(items)).toEqual(new Set([...many, 'n1']));
    expect(items.length).toBe(1_101);
    const events = await client.watch(NODES, resourceVersion, nameOf, never);
    await server.admin('POST', '/api/v1/nodes', newNode('n2'));
    await server.admin(
      'PATCH',
      '/api/v1/nodes/n2',
      { metadata: { labels: { a: 'b' } } },
      'application/merge-patch+json',
    );
    await server.admin('DELETE', '/api/v1/nodes/n2');
    const seen: string[] = [];
    for await (const event of events) {
      if (event.type !== 'progress') seen.push(`${event.type} ${event.object}`);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['put n2', 'put n2', 'gone n2']);
  });
});
