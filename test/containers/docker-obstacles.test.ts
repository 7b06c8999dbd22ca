// The agent names rules of real Docker daemons that stop containers' packets, and is silent where all of them pass.
import { describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { DockerOptions } from '../lab/engines/dockerd.ts';
import { dockerFlags } from '../lab/engines/dockers.ts';
import type { SubnetEnv } from '../lab/host.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { DOCKERS, type DockerBed, needsDocker, useDockers } from './docker-bed.ts';

const READYZ = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz')
  .then(async (answer) => process.stdout.write(answer.status + ' ' + await answer.text()))`;
/** The agent looks at the addresses of the host from time to time, and at the old iptables. */
const NOTICE_MS = 15_000;

const readyz = ({ cluster }: DockerBed): Promise<string> =>
  cluster.lab.host(1).namespace.run([process.execPath, '-e', READYZ]);

const pings = async (bed: DockerBed): Promise<boolean> =>
  (await ping(bed.container(2).namespace, bed.container(1).address, { count: 1 })).received === 1;

const findings = async ({ cluster }: DockerBed): Promise<readonly string[]> =>
  (await cluster.agent(1).log()).split('\n').filter((line) => / (?:chain \S+ of|old iptables) /.test(line));

for (const release of DOCKERS) {
  const need = needsDocker(release);
  describe.skipIf(need.missing)(title(`${release.title} that lets packets pass`, need), () => {
    const bed = useDockers({ release });

    it('the agent names no obstacle', async () => {
      expect(await pings(bed())).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(await readyz(bed())).toMatch(/^200 /);
      expect(await findings(bed())).toEqual([]);
    });
  });
}

const DIRECT = '--allow-direct-routing';
// Where it cannot be had, the tests are skipped by the name of the newest.
const closed = DOCKERS.find((release) => release.has(DIRECT)) ?? DOCKERS.at(-1);
if (closed !== undefined) {
  const need = needsDocker(closed);
  // The agent leaves Docker's drops as they are.
  const flags = ['--ip-masq', '--docker-direct=off'];
  describe.skipIf(need.missing)(title(`${closed.title} that drops direct access`, need), () => {
    const bed = useDockers({ release: closed, flags });

    it('/readyz names the drop of a container until dockerd allows direct routing', async () => {
      const { address } = bed().container(1);
      const drop = new RegExp(
        `^503 .*chain PREROUTING of nftables table ip raw drops packets from other nodes to ${address} by the rule "iifname != docker0 ip daddr ${address} drop"; run the agent with --docker-direct=auto`,
      );
      await waitFor('/readyz names it', NOTICE_MS, async () => drop.test(await readyz(bed())));
      expect(await pings(bed())).toBe(false);
      const env = await bed().cluster.lab.host(1).waitForSubnetEnv();
      await bed()
        .docker(1)
        .restart([...dockerFlags(env), DIRECT]);
      await bed().docker(1).cli('start', 'web');
      await waitFor('the node is ready', NOTICE_MS, async () => (await readyz(bed())).startsWith('200 '));
    });
  });

  describe.skipIf(need.missing)(title(`${closed.title} beside our rules of nftables`, need), () => {
    const bed = useDockers({ release: closed, network: { EnableNFTables: true } });

    it('/readyz names the drop of unpublished ports until DOCKER-USER accepts the network', async () => {
      const drop =
        /^503 .*chain FORWARD of nftables table ip filter drops packets from other nodes to docker0 by the rule "iifname != docker0 oifname docker0 drop" of chain DOCKER; accept 10\.5\.0\.0\/16 there \(with Docker, in its chain DOCKER-USER\)/;
      await waitFor('/readyz names it', NOTICE_MS, async () => drop.test(await readyz(bed())));
      expect(await pings(bed())).toBe(false);
      for (const { namespace } of bed().cluster.hosts) {
        for (const option of ['-s', '-d'])
          await namespace.run(['iptables', '-I', 'DOCKER-USER', option, '10.5.0.0/16', '-j', 'ACCEPT']);
      }
      await waitFor('the node is ready', NOTICE_MS, async () => (await readyz(bed())).startsWith('200 '));
      expect(await pings(bed())).toBe(true);
    });
  });

  describe.skipIf(need.missing)(title(`${closed.title} with the old iptables`, need), () => {
    const docker = (env: SubnetEnv): DockerOptions => ({ flags: dockerFlags(env), legacyIptables: true });
    const bed = useDockers({ release: closed, docker, flags });

    it('our accept is beside the drops, and /readyz names the one that comes before it', async () => {
      const drop =
        /^503 .*chain PREROUTING of the old iptables table raw drops packets from other nodes to 10\.5\.(?!.*chain FORWARD)/;
      // Nothing tells of changes there: an agent looks once a minute, and at its start.
      const { cluster } = bed();
      const host = cluster.lab.host(1);
      await cluster.agent(1).stop();
      const agent = host.startAgent(cluster.flags);
      await waitFor('/readyz names it', NOTICE_MS, async () =>
        drop.test(await readyz(bed()).catch(() => '')),
      );
      expect(await pings(bed())).toBe(false);
      expect(await agent.log()).toContain('writes the iptables rules by iptables-legacy chains=DOCKER');
      const open = cluster.flags.filter((flag) => !flag.startsWith('--docker-direct'));
      for (const old of [agent, cluster.agent(2)]) await old.stop();
      const agents = cluster.hosts.map((each) => each.startAgent(open));
      for (const each of agents) await each.waitReady();
      expect(await pings(bed())).toBe(true);
    });
  });
}
