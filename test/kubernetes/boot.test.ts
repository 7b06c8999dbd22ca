// A node that boots while the API is away: it forwards by the Nodes as they were seen last, and follows the API when it
// is back.
import { readFile, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_CACHE } from '../../agent/kubernetes/cache-path.ts';
import type { AgentProcess } from '../lab/agent-process.ts';
import type { Container } from '../lab/container.ts';
import { type ApiServer, startApiServer } from '../lab/kubernetes/api-server.ts';
import type { Host } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { vxlanAnnotations } from '../support/node-json.ts';
import { grant, LEAST_RIGHTS } from './bed.ts';
import {
  answerOf,
  createNode,
  NEEDS_HOSTS,
  type NodesBed,
  openNodes,
  overlayRoutes,
  untilAnswer,
} from './hosts-bed.ts';

const READY_MS = 20_000;
const TEST_MS = 90_000;

// Nothing of the last boot is left but what lies on the disk.
const REBOOT = `
ip link delete flannel.1
ip link delete docker0
nft flush ruleset
rm -rf /run/flannel
mkdir /run/flannel
ip link add docker0 type bridge
ip link set docker0 addrgenmode none up
`;

const CUT = `
add table ip cut
add chain ip cut forward { type filter hook forward priority 0; }
add rule ip cut forward ip daddr 192.168.79.1 drop
`;

describe.skipIf(NEEDS_HOSTS.missing)(title('a node that boots while the API is away', NEEDS_HOSTS), () => {
  let server: ApiServer;
  let bed: NodesBed;
  let host: Host;
  let agent: AgentProcess;
  let peer: Container;

  beforeAll(async () => {
    server = await startApiServer();
    await grant(server, LEAST_RIGHTS);
    bed = await openNodes({ server, hosts: 2, conf: { Backend: { Type: 'vxlan' } } });
    host = bed.lab.host(1);
    await host.namespace.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/var/lib']);
    await host.namespace.run(['mkdir', '/var/lib/twill']);
    for (const each of bed.lab.hosts) await bed.register(each);
    await createNode(server, 'n3', '10.244.3.0/24', vxlanAnnotations('192.168.77.103', '02:00:00:00:01:03'));
    const agents = bed.lab.hosts.map((each) => bed.startTwill(each));
    for (const each of agents) await each.waitReady(READY_MS);
    [agent] = agents as [AgentProcess];
    peer = await bed.lab.host(2).addContainer();
  }, TEST_MS);
  afterAll(async () => {
    await bed?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const cached = (): Promise<string> => readFile(host.path(NODE_CACHE), 'utf8').catch(() => '');
  const mac = async (): Promise<string | undefined> =>
    /link\/ether (\S+)/.exec(await host.namespace.run(['ip', 'link', 'show', 'flannel.1']))?.[1];
  const routes = async (): Promise<string> => (await overlayRoutes(host)).join('\n');
  /** Packets to the API vanish in the router, or pass again. */
  const cutOff = (isCut: boolean): Promise<string> =>
    bed.lab.router.run(['nft', isCut ? CUT : 'delete table ip cut']);

  it(
    'keeps the Nodes in a file for its user alone',
    async () => {
      await waitFor('both peers are in the file', READY_MS, async () => {
        const text = await cached();
        return text.includes('"h2"') && text.includes('"n3"') && text.includes('192.168.77.2');
      });
      expect((await stat(host.path(NODE_CACHE))).mode & 0o777).toBe(0o600);
      expect(JSON.parse(await cached()).own.name).toBe('h1');
    },
    TEST_MS,
  );

  it(
    'forwards before the API answers, lives, is not ready, and follows the API when it is back',
    async () => {
      const before = await mac();
      await agent.stop('SIGKILL');
      await host.namespace.run(['sh', '-ec', REBOOT]);
      expect(await routes()).toBe('');
      await cutOff(true);
      // Meanwhile one peer goes, and another one comes.
      await server.admin('DELETE', '/api/v1/nodes/n3');
      await createNode(
        server,
        'n4',
        '10.244.4.0/24',
        vxlanAnnotations('192.168.77.104', '02:00:00:00:01:04'),
      );
      agent = bed.startTwill(host);
      await host.waitForSubnetEnv(READY_MS, agent);
      expect(await mac()).toBe(before);
      expect(await routes()).toMatch(/^10\.244\.2\.0\/24 .*\n10\.244\.3\.0\/24 .*$/);
      const container = await host.addContainer();
      for (const [from, to] of [
        [container, peer],
        [peer, container],
      ] as const)
        await waitFor(
          'packets flow',
          READY_MS,
          async () => (await ping(from.namespace, to.address)).received === 1,
        );
      expect(await answerOf(host, '/healthz')).toContain('ok');
      expect(await answerOf(host, '/readyz')).toContain('the Nodes of the last run are in use');
      expect(await agent.process.log()).toContain('going on with the Nodes of the last run peers=2');

      await cutOff(false);
      await waitFor('the changes are followed', READY_MS, async () => {
        const text = await routes();
        return text.includes('10.244.4.0/24') && !text.includes('10.244.3.0/24');
      });
      await agent.waitReady(READY_MS);
      expect((await ping(container.namespace, peer.address)).received).toBe(1);
    },
    TEST_MS,
  );

  it(
    'does not believe a file of another network, says so once, and waits for the API',
    async () => {
      await agent.stop('SIGKILL');
      await host.namespace.run(['sh', '-ec', REBOOT]);
      const text = await cached();
      const digest = JSON.parse(text).digest as string;
      await host.namespace.run(['sed', '-i', `s/${digest}/${digest.replace(/^./, 'x')}/`, NODE_CACHE]);
      await cutOff(true);
      agent = bed.startTwill(host);
      await agent.process.waitForLine(/nodes\.json is not believed: it is of another network/, READY_MS);
      await untilAnswer(host, '/readyz', 'n');
      expect(await host.subnetEnv()).toBeUndefined();
      await cutOff(false);
      await agent.waitReady(READY_MS);
    },
    TEST_MS,
  );

  it(
    'takes nothing away at once where the first list of the API is empty',
    async () => {
      await waitFor('the new peer is in the file', 2 * READY_MS, async () =>
        (await cached()).includes('"n4"'),
      );
      await agent.stop('SIGKILL');
      await host.namespace.run(['sh', '-ec', REBOOT]);
      await cutOff(true);
      agent = bed.startTwill(host);
      await untilAnswer(host, '/readyz', 'the Nodes of the last run are in use');
      await waitFor('both peers have a route', READY_MS, async () =>
        /^10\.244\.2\.0\/24 .*\n10\.244\.4\.0\/24 .*$/.test(await routes()),
      );
      const before = await routes();
      for (const name of ['h1', 'h2', 'n4']) await server.admin('DELETE', `/api/v1/nodes/${name}`);
      await cutOff(false);
      await untilAnswer(host, '/readyz', 'is not among the Nodes of the cluster');
      expect(await routes()).toBe(before);
      for (const each of bed.lab.hosts) await bed.register(each);
      // The list is doubted twice: first without this Node, then with half of the peers.
      await waitFor('the list is followed', 2 * READY_MS, async () => {
        const text = await routes();
        return text.includes('10.244.2.0/24') && !text.includes('10.244.4.0/24');
      });
      await agent.waitReady(READY_MS);
    },
    TEST_MS,
  );
});
