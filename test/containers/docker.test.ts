// Containers of real Docker daemons reach those of the other host: every release, over every backend.
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { cgroupsOf } from '../lab/cgroups.ts';
import { openCluster } from '../lab/cluster.ts';
import { startDocker } from '../lab/engines/dockerd.ts';
import { dockerFlags } from '../lab/engines/dockers.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { labName } from '../lab/sweep.ts';
import { title } from '../support/needs.ts';
import { DOCKERS, needsDocker, useDockers } from './docker-bed.ts';

const BACKENDS = ['vxlan', 'host-gw', 'udp'] as const;
const ROWS = DOCKERS.flatMap((release) =>
  BACKENDS.map((backend) => ({ release, backend, name: title(release.title, needsDocker(release)) })),
);

for (const { release, backend, name } of ROWS) {
  describe.skipIf(needsDocker(release).missing)(`${name} over ${backend}`, () => {
    const bed = useDockers({ release, backend: { Type: backend } });

    it('containers ping each other', async () => {
      for (const [from, to] of bed().pairs) {
        const { received, text } = await ping(from.namespace, to.address, { count: 3 });
        expect(received, text).toBe(3);
      }
    });

    it('a TCP server sees the own address of a container of the other host', async () => {
      for (const [from, to] of bed().pairs) {
        expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
      }
    });

    it('a program in the container reaches the other host by the engine alone', async () => {
      for (const [from, to] of bed().pairs) {
        const url = `http://${to.address}/cgi-bin/source`;
        expect(await from.exec(['wget', '-T', '3', '-qO-', url])).toBe(from.address);
      }
    });

    it('a container reaches the outside', async () => {
      for (const number of [1, 2]) {
        const { received, text } = await ping(bed().container(number).namespace, OUTSIDE_ADDRESS);
        expect(received, text).toBe(1);
      }
    });
  });
}

const [oldest] = DOCKERS;
if (oldest !== undefined) {
  const need = needsDocker(oldest);
  describe.skipIf(need.missing)(title('a closed lab', need), () => {
    it('leaves no process, no cgroup and no changed setting of a running dockerd', async () => {
      const before = await machineState();
      const cluster = await openCluster({ hosts: 1, backend: { Type: 'vxlan' }, containers: false });
      const host = cluster.lab.host(1);
      const env = await host.waitForSubnetEnv();
      const docker = await startDocker(host, oldest, { flags: dockerFlags(env) });
      const { namespace } = await docker.run('web');
      const pid = Number(
        namespace
          .command([])
          .join(' ')
          .match(/--target=(\d+)/)?.[1],
      );
      expect(await commandOf(pid)).toContain('httpd');
      expect(await cgroupsOf(host.fullName)).not.toEqual([]);
      await cluster.lab.close();
      expect(await commandOf(pid)).toBe('');
      expect(await cgroupsOf(labName(cluster.lab.tag, ''))).toEqual([]);
      expect(await machineState()).toEqual(before);
    });
  });
}

async function commandOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}

async function machineState(): Promise<unknown> {
  const settings = ['ip_forward', 'conf/all/forwarding', 'conf/all/route_localnet'];
  return {
    settings: await Promise.all(settings.map((name) => readFile(`/proc/sys/net/ipv4/${name}`, 'utf8'))),
    links: await readdir('/sys/class/net'),
    docker: await readdir('/etc/docker').catch(() => undefined),
    run: (await readdir('/run')).filter((name) => name.startsWith('docker') || name === 'containerd'),
    mounts: (await readFile('/proc/self/mounts', 'utf8'))
      .split('\n')
      .filter((line) => line.includes('docker')),
  };
}
