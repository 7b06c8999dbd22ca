// The modes of Docker's containers beside the overlay. docker0 has the lower half of each lease, a network of the users
// has the upper half.
//
//     h1, h2:  docker0 10.5.N.0/25, containers from 10.5.N.0/26    twill0 10.5.N.128/25, the network `lease`
import { beforeAll, describe, expect, it } from 'vitest';
import { type Docker } from '../lab/engines/dockerd.ts';
import { dockerFlags } from '../lab/engines/dockers.ts';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import type { SubnetEnv } from '../lab/host.ts';
import type { Namespace } from '../lab/namespace.ts';
import { ping } from '../lab/ping.ts';
import { title } from '../support/needs.ts';
import { NO_NAME_SERVER, needsDocker, OLDEST_AND_NEWEST, useDockers } from './docker-bed.ts';

/** `10.5.34.` of `10.5.34.1/24`. */
function startOf({ subnet }: SubnetEnv): string {
  return subnet.replace(/\d+\/\d+$/, '');
}

function flagsOfHalf(env: SubnetEnv): readonly string[] {
  const half = { ...env, subnet: `${startOf(env)}1/25` };
  return [...dockerFlags(half), `--fixed-cidr=${startOf(env)}0/26`];
}

async function createNetwork(docker: Docker, env: SubnetEnv): Promise<void> {
  const options = {
    'com.docker.network.bridge.name': 'twill0',
    'com.docker.network.driver.mtu': String(env.mtuBytes),
    'com.docker.network.bridge.enable_ip_masquerade': 'false',
  };
  const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const addresses = [`--subnet=${startOf(env)}128/25`, `--gateway=${startOf(env)}129`];
  await docker.cli('network', 'create', '-d', 'bridge', ...addresses, ...words, 'lease');
}

async function reaches(from: Namespace, address: string): Promise<boolean> {
  return (await ping(from, address)).received > 0;
}

for (const release of OLDEST_AND_NEWEST) {
  const need = needsDocker(release);
  describe.skipIf(need.missing)(title(release.title, need), () => {
    const bed = useDockers({
      release,
      docker: (env) => ({ flags: flagsOfHalf(env) }),
    });
    const run = (host: number, name: string, ...options: readonly string[]): Promise<EngineContainer> =>
      bed().docker(host).run(name, { options });
    const env = (host: number): Promise<SubnetEnv> => bed().cluster.lab.host(host).waitForSubnetEnv();
    /** The container `web` of the other host, on its docker0. */
    const peer = (): EngineContainer => bed().container(2);
    const wget = (container: string, host: string, docker = bed().docker(1)) =>
      docker.exec([
        'exec',
        container,
        'timeout',
        '3',
        'wget',
        '-q',
        '-O',
        '-',
        `http://${host}/cgi-bin/source`,
      ]);

    beforeAll(async () => {
      for (const number of [1, 2]) await createNetwork(bed().docker(number), await env(number));
    });

    it('a user-defined network on part of the lease is reached from both networks of the other host', async () => {
      const local = await run(1, 'app', '--network=lease');
      const remote = await run(2, 'app', '--network=lease');
      expect(local.address).toMatch(/\.130$/);
      for (const [from, to] of [
        [local, remote],
        [remote, local],
        [local, peer()],
        [peer(), local],
      ] as const) {
        expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
      }
    });

    it('two networks of one lease stay apart on one host, as Docker keeps all its networks', async () => {
      const apart = await run(1, 'apart', '--network=lease');
      const web = bed().container(1);
      expect(await reaches(apart.namespace, web.address)).toBe(false);
      expect(await reaches(web.namespace, apart.address)).toBe(false);
      expect(await reaches(peer().namespace, apart.address)).toBe(true);
    });

    it('containers of a user-defined network find each other by name, and not those of the other host', async () => {
      const one = await run(1, 'one', '--network=lease', NO_NAME_SERVER);
      await run(1, 'two', '--network=lease');
      await run(2, 'far', '--network=lease');
      expect(await wget('one', 'two')).toMatchObject({ exitCode: 0, stdout: `${one.address}\n` });
      expect((await wget('one', 'far')).exitCode).not.toBe(0);
    });

    it('a link on docker0 gives a name in one direction', async () => {
      await run(1, 'linked', '--link=web:db');
      expect((await wget('linked', 'db')).exitCode).toBe(0);
      expect((await wget('web', 'linked')).exitCode).not.toBe(0);
    });

    it('a container on two networks reaches peers with its address on the lease, which is its first by name', async () => {
      const docker = bed().docker(1);
      await docker.cli('network', 'create', 'outer');
      await run(1, 'both', '--network=outer');
      await docker.cli('network', 'connect', 'lease', 'both');
      const { address, namespace } = await docker.container('both');
      expect(address).toMatch(/^10\.5\./);
      expect(await sourceSeenBy(peer().address, namespace)).toBe(address);
      expect(await sourceSeenBy(address, peer().namespace)).toBe(peer().address);
    });

    const isNew = release.has('--allow-direct-routing');
    if (isNew || need.missing)
      it('a container on two networks has the gateway of the lease by its priority', async () => {
        const docker = bed().docker(1);
        await docker.cli('network', 'create', 'early');
        await run(1, 'chosen', '--network=early');
        await docker.cli('network', 'connect', '--gw-priority=1', 'lease', 'chosen');
        const { namespace } = await docker.container('chosen');
        const address = await docker.cli(
          'inspect',
          '-f',
          '{{.NetworkSettings.Networks.lease.IPAddress}}',
          'chosen',
        );
        expect(await sourceSeenBy(peer().address, namespace)).toBe(address);
        expect(await sourceSeenBy(address, peer().namespace)).toBe(peer().address);
      });

    it('a container of --net none takes part by a veth that somebody puts on docker0', async () => {
      const bare = await run(1, 'bare', '--network=none');
      const { mtuBytes } = await env(1);
      const address = `${startOf(await env(1))}100`;
      const { namespace } = bed().cluster.lab.host(1);
      const pid = await bed().docker(1).cli('inspect', '-f', '{{.State.Pid}}', 'bare');
      await namespace.ip(
        `link add bare0 mtu ${mtuBytes} type veth peer name eth0 mtu ${mtuBytes} netns ${pid}`,
        'link set bare0 master docker0 up',
      );
      const gateway = `${startOf(await env(1))}1`;
      await bare.namespace.ip(
        `addr add ${address}/25 dev eth0`,
        'link set eth0 up',
        `route add default via ${gateway}`,
      );
      expect(await sourceSeenBy(peer().address, bare.namespace)).toBe(address);
      expect(await sourceSeenBy(address, peer().namespace)).toBe(peer().address);
    });

    it('a container of --net container has the address of that container', async () => {
      const beside = await bed()
        .docker(1)
        .run('beside', { options: ['--network=container:web'], command: ['sleep', '600'] });
      expect(await sourceSeenBy(peer().address, beside.namespace)).toBe(bed().container(1).address);
    });

    it('a container of --net host reaches peers with the address of the tunnel, and they reach its host', async () => {
      const { address, namespace } = bed().cluster.lab.host(1);
      const host = await run(1, 'host', '--network=host');
      const tunnel = `${startOf(await env(1))}0`;
      expect(await sourceSeenBy(peer().address, host.namespace)).toBe(tunnel);
      expect(await sourceSeenBy(`${startOf(await env(1))}1`, peer().namespace)).toBe(peer().address);
      expect(await sourceSeenBy(address, peer().namespace)).toBe(bed().cluster.lab.host(2).address);
      await host.remove();
      expect(await namespace.run(['ss', '-Htln', 'sport', '=', ':80'])).toBe('');
    });

    it('published ports answer at the address of the node and of the lease, also to the same host', async () => {
      const published = await run(1, 'published', '-p=8080:80', '-P', '--expose=80');
      const node = bed().cluster.lab.host(1).address;
      const bridge = `${startOf(await env(1))}1`;
      const far = peer();
      const seen = (at: string, from: EngineContainer): Promise<string> =>
        sourceSeenBy(at, from.namespace, 8080);
      expect(await seen(node, far)).toBe(bed().cluster.lab.host(2).address);
      expect(await seen(bridge, far)).toBe(far.address);
      for (const near of [bed().container(1), published]) {
        expect(await seen(node, near)).toMatch(/^10\.5\./);
        expect(await seen(bridge, near)).toMatch(/^10\.5\./);
      }
    });

    it('a container on macvlan is reached from the other host, and from its own host by a shim alone', async () => {
      const docker = bed().docker(1);
      const range = ['--subnet=192.168.77.0/24', '--ip-range=192.168.77.64/28', '--gateway=192.168.77.254'];
      await docker.cli('network', 'create', '-d', 'macvlan', ...range, '-o', 'parent=eth0', 'lan');
      const lan = await run(1, 'lan', '--network=lan');
      const near = bed().container(1);
      expect(await sourceSeenBy(lan.address, peer().namespace)).toBe(bed().cluster.lab.host(2).address);
      expect(await reaches(near.namespace, lan.address)).toBe(false);
      await bed()
        .cluster.lab.host(1)
        .namespace.ip(
          'link add shim link eth0 type macvlan mode bridge',
          'addr add 192.168.77.96/32 dev shim',
          'link set shim up',
          `route add ${lan.address}/32 dev shim`,
        );
      expect(await sourceSeenBy(lan.address, near.namespace)).toMatch(/^192\.168\.77\./);
    });
  });
}
