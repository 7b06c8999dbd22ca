// The Nodes of a real cluster as leases, while its API server and its etcd come and go.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { annotationNames, DEFAULT_PREFIX } from '../../agent/kubernetes/annotation-names.ts';
import { NodeWatch } from '../../agent/kubernetes/node-watch.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { Lease } from '../../agent/model/lease.ts';
import type { StoreEvent } from '../../agent/model/lease-source.ts';
import { type ApiServer, startApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import { title } from '../support/needs.ts';
import { vxlanAnnotations } from '../support/node-json.ts';
import { clientOf, grant, LEAST_RIGHTS, NEEDS_API_SERVER, newNode } from './bed.ts';

/** The pauses of a client grow while a server starts. */
const RESTARTED_MS = 40_000;
/** A restored store is believed after refused watches and a second look. */
const RESTORED_MS = 50_000;

describe.skipIf(NEEDS_API_SERVER.missing)(title('the Nodes of a real cluster', NEEDS_API_SERVER), () => {
  let server: ApiServer;
  let watch: NodeWatch;
  const events: StoreEvent[] = [];
  const controller = new AbortController();
  let running: Promise<void> | undefined;

  const annotated = (name: string, podCidr: string, address: string) =>
    newNode(
      name,
      podCidr,
      Object.fromEntries(
        Object.entries(vxlanAnnotations(address)).map(([end, value]) => [`${DEFAULT_PREFIX}/${end}`, value]),
      ),
    );
  const create = (name: string, podCidr: string, address: string) =>
    server.admin('POST', '/api/v1/nodes', annotated(name, podCidr, address));
  const remove = (name: string) => server.admin('DELETE', `/api/v1/nodes/${name}`);
  const patchStatus = (name: string, patch: unknown) =>
    server.admin('PATCH', `/api/v1/nodes/${name}/status`, patch, 'application/merge-patch+json');

  /** The leases by all events so far: `n1 10.244.1.0/24 192.168.77.1`. */
  const known = (): readonly string[] => {
    let leases = new Map<string, Lease>();
    for (const event of events) {
      if (event.type === 'snapshot') leases = new Map(event.leases.map((lease) => [lease.key, lease]));
      if (event.type === 'lease') leases.set(event.lease.key, event.lease);
      if (event.type === 'lease-removed') leases.delete(event.key);
    }
    return [...leases.values()]
      .map(
        ({ key, subnets, attrs }) =>
          `${key} ${subnets.ipv4 && formatPrefix(subnets.ipv4)} ${attrs.publicIP.ipv4}`,
      )
      .sort();
  };
  const snapshots = (): number => events.filter(({ type }) => type === 'snapshot').length;

  beforeAll(async () => {
    server = await startApiServer();
    await grant(server, LEAST_RIGHTS);
    await create('self', '10.244.0.0/24', '192.168.77.10');
    await create('n1', '10.244.1.0/24', '192.168.77.11');
    watch = new NodeWatch({
      client: clientOf(server, TOKENS.agent),
      nodeName: 'self',
      names: annotationNames(DEFAULT_PREFIX, 'prefix'),
      config: '{}',
      clock: systemClock,
      random: systemRandom,
    });
    running = (async () => {
      for await (const event of watch.watch(controller.signal)) events.push(event);
    })();
  });
  afterAll(async () => {
    controller.abort();
    await running;
    await watch[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it('are told live: Nodes come, change, beat, are made again, and go', async () => {
    await expect.poll(known).toEqual(['n1 10.244.1.0/24 192.168.77.11']);
    await create('n2', '10.244.2.0/24', '192.168.77.12');
    await expect.poll(known).toHaveLength(2);
    const before = events.length;
    for (let beat = 0; beat < 5; beat++)
      await patchStatus('n2', {
        status: { conditions: [{ type: 'Ready', status: 'True', reason: `beat ${beat}` }] },
      });
    await patchStatus('n2', {
      metadata: { annotations: { [`${DEFAULT_PREFIX}/public-ip`]: '192.168.77.22' } },
    });
    await expect.poll(known).toContain('n2 10.244.2.0/24 192.168.77.22');
    expect(events.length - before).toBe(1);
    await remove('n2');
    await create('n2', '10.244.9.0/24', '192.168.77.12');
    await expect.poll(known).toEqual(['n1 10.244.1.0/24 192.168.77.11', 'n2 10.244.9.0/24 192.168.77.12']);
    await patchStatus('self', { status: { conditions: [{ type: 'NetworkUnavailable', status: 'True' }] } });
    await expect.poll(() => watch.own?.networkUnavailable).toBe('True');
  });

  it('are watched on without another list when the API server was restarted', async () => {
    const before = snapshots();
    await server.stop();
    await expect.poll(() => events.at(-1)?.type).toBe('disconnected');
    await server.start();
    await remove('n2');
    await expect.poll(known, { timeout: RESTARTED_MS }).toEqual(['n1 10.244.1.0/24 192.168.77.11']);
    expect(snapshots()).toBe(before);
  });

  it('are listed again when the history is compacted', async () => {
    const before = snapshots();
    await server.stop();
    await server.etcd.etcdctl('put', '/other', 'x');
    await server.etcd.compact();
    await server.start();
    await create('n3', '10.244.3.0/24', '192.168.77.13');
    await expect
      .poll(known, { timeout: RESTARTED_MS })
      .toEqual(['n1 10.244.1.0/24 192.168.77.11', 'n3 10.244.3.0/24 192.168.77.13']);
    expect(snapshots()).toBe(before + 1);
  });

  it('stay while a store that lost its data says otherwise, and are believed again in the end', async () => {
    await server.stop();
    await server.etcd.wipe();
    await server.etcd.start();
    await server.start();
    await grant(server, LEAST_RIGHTS);
    await create('n1', '10.244.1.0/24', '192.168.77.11');
    const before = known();
    await expect
      .poll(
        () =>
          events.some(
            (event) => event.type === 'disconnected' && /earlier time|not among/.test(event.error.message),
          ),
        { timeout: RESTORED_MS },
      )
      .toBe(true);
    expect(known()).toEqual(before);
    await create('self', '10.244.0.0/24', '192.168.77.10');
    await expect.poll(known, { timeout: RESTORED_MS }).toEqual(['n1 10.244.1.0/24 192.168.77.11']);
  }, 120_000);
});
