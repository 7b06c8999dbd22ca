// Docker changes its rules under the agent: restarts, containers that come and go, rules that somebody flushes, and a
// host that forwards nothing at first.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCluster } from '../lab/cluster.ts';
import { startDocker } from '../lab/engines/dockerd.ts';
import { dockerFlags } from '../lab/engines/dockers.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { startFirewalld } from '../lab/firewalld.ts';
import type { Host } from '../lab/lab.ts';
import { TWILL } from '../lab/paths.ts';
import { ping } from '../lab/ping.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { mapLimited, waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { jumpsAreFirst, needsDocker, OLDEST_AND_NEWEST, useDockers } from './docker-bed.ts';

const HEAL_LIMIT_MS = 1_000;

const NEEDS_FIREWALLD = allOf(...['firewalld', 'firewall-cmd', 'dbus-daemon'].map(needsProgram));

for (const release of OLDEST_AND_NEWEST) {
  const need = needsDocker(release);
  describe.skipIf(need.missing)(title(`rules beside ${release.title}`, need), () => {
    const bed = useDockers({ release });
    const host = (): Host => bed().cluster.lab.host(1);
    const heals = (): Promise<boolean> =>
      waitFor('our rules are first', HEAL_LIMIT_MS, () => jumpsAreFirst(host()));
    const flags = async (number: number): Promise<readonly string[]> =>
      dockerFlags(await bed().cluster.lab.host(number).waitForSubnetEnv());
    const flow = (name: string): PingStream =>
      new PingStream(bed().container(2), bed().container(1), join(host().folder, `ping-${name}.log`));

    it('our rules are first after a start of dockerd', async () => {
      await heals();
    });

    it('a container that starts later answers the other host within a second', async () => {
      const late = await bed().docker(1).run('late');
      await waitFor('it answers', HEAL_LIMIT_MS, async () => {
        return (await ping(bed().container(2).namespace, late.address)).received > 0;
      });
    });

    // The newest release makes most rules for a container.
    const count = release === OLDEST_AND_NEWEST.at(-1) ? 50 : 10;
    it(`${count} containers with published ports come and go without a lost packet, and our rules stay first`, async () => {
      await using packets = flow('published');
      await packets.flows();
      const docker = bed().docker(1);
      await mapLimited(Array.from({ length: count }), 4, async (_, index) => {
        const container = await docker.run(`published-${index}`, { options: ['-p=80'] });
        await container.remove();
      });
      expect(await jumpsAreFirst(host())).toBe(true);
      await packets.flows();
      expect(await packets.lost()).toBe(0);
      const repairs = (await bed().cluster.agent(1).log()).match(/repaired the iptables rules/g) ?? [];
      expect(repairs.length).toBeLessThan(5);
    });

    it('a restarted dockerd finds its containers on their subnet, and our rules are first within a second', async () => {
      const docker = bed().docker(1);
      await docker.restart(await flags(1));
      await heals();
      await docker.cli('start', 'web');
      const web = await docker.container('web');
      expect(await sourceSeenBy(web.address, bed().container(2).namespace)).toBe(bed().container(2).address);
    });

    it('flushed rules of all programs stop no packet, and ours are back within a second', async () => {
      await using packets = flow('flush');
      await packets.flows();
      await host().namespace.run(['nft', 'flush', 'ruleset']);
      await heals();
      await packets.flows();
      expect(await packets.lost()).toBe(0);
    });

    const trusts =
      'firewalld beside dockerd stops no packet of a network that it trusts, also when it is reloaded';
    it.skipIf(NEEDS_FIREWALLD.missing)(title(trusts, NEEDS_FIREWALLD), async () => {
      const firewalld = await startFirewalld(host(), 'iptables');
      await firewalld.cmd('--permanent', '--zone=trusted', '--add-source=10.5.0.0/16');
      await firewalld.cmd('--permanent', '--add-port=8472/udp');
      await firewalld.cmd('--reload');
      await bed()
        .docker(1)
        .restart(await flags(1));
      await bed().docker(1).cli('start', 'web');
      await heals();
      await using packets = flow('firewalld');
      await packets.flows();
      await firewalld.cmd('--reload');
      await heals();
      await packets.flows();
      expect(await packets.lost()).toBeLessThan(HEAL_LIMIT_MS / 10);
    });
  });

  describe.skipIf(need.missing)(
    title(`a host that does not forward at first, with ${release.title}`, need),
    () => {
      it('containers reach each other, whether dockerd or the agent starts first', async () => {
        const stopForwarding = ({ namespace }: Host): Promise<string> =>
          namespace.run(['sysctl', '-qw', 'net.ipv4.ip_forward=0']);
        await using cluster = await openCluster({
          hosts: 2,
          backend: { Type: 'vxlan' },
          flags: ['--ip-masq'],
          containers: false,
          prepare: async ({ hosts }) => void (await Promise.all(hosts.map(stopForwarding))),
        });
        const [agentFirst, dockerFirst] = [cluster.lab.host(1), cluster.lab.host(2)];
        const policy = async ({ namespace }: Host): Promise<string | undefined> =>
          /^-P FORWARD (\w+)/m.exec(await namespace.run(['iptables', '-S', 'FORWARD']))?.[1];

        const env = await dockerFirst.waitForSubnetEnv();
        await cluster.agent(2).stop();
        const store = cluster.flags.filter((flag) => !flag.startsWith('--healthz-port'));
        await dockerFirst.namespace.run([...TWILL, 'cleanup', ...store]);
        await stopForwarding(dockerFirst);
        const late = await startDocker(dockerFirst, release, { flags: dockerFlags(env) });
        expect(await policy(dockerFirst)).toBe('DROP');
        const two = await late.run('web');

        const early = await startDocker(agentFirst, release, {
          flags: dockerFlags(await agentFirst.waitForSubnetEnv()),
        });
        expect(await policy(agentFirst)).toBe('ACCEPT');
        const one = await early.run('web');

        await cluster.startAgent(2);
        expect(await dockerFirst.subnetEnv()).toEqual(env);
        for (const [from, to] of [
          [one, two],
          [two, one],
        ] as const) {
          await waitFor(`${from.address} reaches ${to.address}`, HEAL_LIMIT_MS, async () => {
            return (await ping(from.namespace, to.address)).received > 0;
          });
          expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
        }
      });
    },
  );
}
