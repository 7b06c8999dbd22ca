// An agent beside a real API server that is busy, refuses it, changes its certificate, or is one of two: no route goes,
// nothing that happened meanwhile is missed, and the requests stay few.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import type { AgentProcess } from '../lab/agent-process.ts';
import { freePort } from '../lab/etcd.ts';
import type { ProxyFault } from '../lab/kubernetes/api-proxy.ts';
import { type ApiServer, apiServerCommand, startApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import type { Host } from '../lab/lab.ts';
import { LabProcess, monotonicMs } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { vxlanAnnotations } from '../support/node-json.ts';
import { grant, LEAST_RIGHTS } from './bed.ts';
import {
  createNode,
  NEEDS_HOSTS,
  type NodesBed,
  openNodes,
  overlayRoutes,
  untilAnswer,
} from './hosts-bed.ts';

const HEALS_MS = 45_000;
const TEST_MS = 120_000;
const STORM_MS = 4_000;
/** A watch that stands for so long is no failure: the pauses begin anew. */
const STABLE_MS = 5_500;

const status = (code: number, reason: string): string =>
  JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message: reason, code });

describe.skipIf(NEEDS_HOSTS.missing)(title('an agent beside an API server with faults', NEEDS_HOSTS), () => {
  let server: ApiServer;
  let bed: NodesBed;
  let host: Host;
  let agent: AgentProcess;
  let peers = 1;

  beforeAll(async () => {
    server = await startApiServer();
    await grant(server, LEAST_RIGHTS);
    bed = await openNodes({ server, hosts: 1, conf: { Backend: { Type: 'vxlan' } } });
    host = bed.lab.host(1);
    await bed.register(host);
    agent = bed.startTwill(host);
    await agent.waitReady(HEALS_MS);
    await addPeer();
    await untilRoutes(peers);
  }, TEST_MS);
  beforeEach(async () => {
    const { proxy } = bed;
    proxy.fault = undefined;
    await agent.waitReady(HEALS_MS);
    // It is the same process all the time.
    expect(agent.process.isRunning).toBe(true);
    await waitFor('a watch stands', HEALS_MS, () => {
      const last = proxy.calls.findLast(({ method }) => method === 'GET');
      return last?.path.includes('watch=true') === true && monotonicMs() - last.atMs > STABLE_MS;
    });
  }, HEALS_MS);
  afterAll(async () => {
    await bed?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function addPeer(): Promise<void> {
    peers += 1;
    const mac = `02:00:00:00:02:${peers.toString(16).padStart(2, '0')}`;
    const announced = vxlanAnnotations(`192.168.77.${100 + peers}`, mac);
    await createNode(server, `p${peers}`, `10.244.${peers}.0/24`, announced);
  }
  const untilRoutes = (last: number): Promise<unknown> =>
    waitFor(
      `the routes of ${last - 1} peers`,
      HEALS_MS,
      async () => (await overlayRoutes(host)).length === last - 1,
      50,
    );

  /** Answers so to all requests for a while. Gives the number of them, and looks that no route goes. */
  async function storm(fault: ProxyFault): Promise<number> {
    const { proxy } = bed;
    const before = proxy.calls.length;
    const routes = await overlayRoutes(host);
    proxy.fault = () => fault;
    proxy.cut();
    await addPeer();
    const end = systemClock.monotonicMs() + STORM_MS;
    while (systemClock.monotonicMs() < end) {
      expect(await overlayRoutes(host)).toEqual(routes);
      await systemClock.sleep(200);
    }
    const asked = proxy.calls.length - before;
    proxy.fault = undefined;
    return asked;
  }

  it.each<[string, ProxyFault, number]>([
    // A watch and a list, each after the server's time.
    [
      'too many requests, with a time to wait',
      { status: 429, headers: { 'retry-after': '2' }, body: status(429, 'TooManyRequests') },
      4,
    ],
    // Pauses of 0.5, 1 and 2 s, each with a question about the version before.
    ['no service', { status: 503, body: status(503, 'ServiceUnavailable') }, 8],
    ['a version that is too large', { status: 504, body: status(504, 'Timeout') }, 8],
  ])(
    'asks a server seldom that answers with %s, and misses nothing',
    async (_, fault, most) => {
      const asked = await storm(fault);
      expect(asked).toBeGreaterThan(0);
      expect(asked).toBeLessThanOrEqual(most);
      await untilRoutes(peers);
    },
    TEST_MS,
  );

  it.each<[string, { readonly resources: readonly string[]; readonly verbs: readonly string[] }[], string]>([
    [
      'list',
      [{ resources: ['nodes'], verbs: ['get', 'watch'] }],
      'its ClusterRole needs the verb list on nodes',
    ],
    [
      'watch',
      [{ resources: ['nodes'], verbs: ['get', 'list'] }],
      'its ClusterRole needs the verb watch on nodes',
    ],
  ])(
    'names the right %s that it lacks, and goes on when it has it',
    async (_, rules, words) => {
      const routes = await overlayRoutes(host);
      await grant(server, [...rules, { resources: ['nodes/status'], verbs: ['patch'] }]);
      // A watch that stands is not judged again, so both are asked for anew: the history is gone.
      bed.proxy.fault = ({ path }) =>
        path.includes('watch=true') && path.includes('resourceVersion=') && words.includes('list')
          ? { status: 410, body: status(410, 'Expired') }
          : undefined;
      bed.proxy.cut();
      await untilAnswer(host, '/readyz', words);
      expect(await overlayRoutes(host)).toEqual(routes);
      await grant(server, LEAST_RIGHTS);
      bed.proxy.fault = undefined;
      await addPeer();
      await untilRoutes(peers);
    },
    TEST_MS,
  );

  it(
    'goes on with another token in its file, after the server refused the old one',
    async () => {
      await writeFile(bed.tokenFile, 'expired');
      bed.proxy.cut();
      await untilAnswer(host, '/readyz', 'the token or certificate has expired');
      await writeFile(bed.tokenFile, TOKENS.agent);
      await addPeer();
      await untilRoutes(peers);
    },
    TEST_MS,
  );

  it(
    'goes on with another CA in its file, after the server changed its certificate',
    async () => {
      const ca = await bed.renew('second');
      bed.proxy.cut();
      await untilAnswer(host, '/readyz', 'certificate');
      await writeFile(bed.caFile, ca);
      await addPeer();
      await untilRoutes(peers);
    },
    TEST_MS,
  );

  it(
    'keeps its routes behind a balancer of two servers, one of which restarts, and misses nothing',
    async () => {
      const port = await freePort('127.0.0.1');
      const place = { folder: server.folder, etcdUrl: server.etcd.url, address: '127.0.0.1', port };
      const second = new LabProcess(
        [...apiServerCommand(place), '--advertise-address=192.0.2.1', '--endpoint-reconciler-type=none'],
        join(server.folder, 'second.log'),
      );
      try {
        const urls = [server.url, `https://127.0.0.1:${port}`];
        await second.waitForLine(/Serving securely/, HEALS_MS);
        let turn = 0;
        bed.proxy.fault = () => {
          turn += 1;
          bed.proxy.target = urls[turn % 2] ?? server.url;
          return undefined;
        };
        const routes = await overlayRoutes(host);
        for (let round = 0; round < 2; round++) {
          bed.proxy.cut();
          await addPeer();
          await untilRoutes(peers);
          expect(await overlayRoutes(host)).toEqual(expect.arrayContaining([...routes]));
        }
        // The first one restarts; the balancer notices.
        await server.stop();
        bed.proxy.fault = undefined;
        bed.proxy.target = urls[1] ?? '';
        bed.proxy.cut();
        await systemClock.sleep(1_000);
        expect(await overlayRoutes(host)).toEqual(expect.arrayContaining([...routes]));
        await server.start();
        await addPeer();
        await untilRoutes(peers);
      } finally {
        bed.proxy.target = server.url;
        bed.proxy.cut();
        await second.stop('SIGKILL');
      }
    },
    TEST_MS,
  );
});
