// The files for Docker, CNI and Podman of a real agent: written, kept and taken back.
import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { TWILL } from '../lab/paths.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

const SUBNET_ENV = '/run/flannel/subnet.env';
const DOCKER = '/run/flannel/docker';
const CNI = '/run/cni/10-twill.conflist';
const PODMAN = '/run/containers/networks/web.json';

describe.skipIf(NEEDS_CLUSTER.missing)(title('the hand-off', NEEDS_CLUSTER), () => {
  const cluster = useCluster({
    hosts: 1,
    containers: false,
    backend: { Type: 'vxlan' },
    flags: [
      '--ip-masq',
      `--docker-opts-file=${DOCKER}`,
      `--cni-conf-file=${CNI}`,
      `--podman-network-file=${PODMAN}`,
    ],
  });
  const host = () => cluster().lab.host(1);
  const read = (path: string): Promise<string> => readFile(host().path(path), 'utf8');
  const twill = (...args: readonly string[]) => host().namespace.exec([...TWILL, ...args]);

  it('the files for engines are there before subnet.env, and say the same', async () => {
    const { subnet, mtuBytes } = await host().waitForSubnetEnv();
    const written = await Promise.all(
      [DOCKER, CNI, PODMAN, SUBNET_ENV].map(async (path) => (await stat(host().path(path))).mtimeMs),
    );
    expect(written.toSorted((a, b) => a - b)).toEqual(written);
    expect(await read(DOCKER)).toContain(`DOCKER_OPTS=" --bip=${subnet} --ip-masq=false --mtu=${mtuBytes}"`);
    const network = subnet.replace('.1/', '.0/');
    expect(JSON.parse(await read(CNI))).toMatchObject({
      plugins: [{ mtu: mtuBytes, ipam: { ranges: [[{ subnet: network }]] } }, {}],
    });
    expect(JSON.parse(await read(PODMAN))).toMatchObject({
      name: 'web',
      subnets: [{ subnet: network }],
      options: { mtu: String(mtuBytes) },
    });
  });

  it('a restart writes none of them again', async () => {
    const before = await Promise.all([DOCKER, CNI, PODMAN].map(read));
    await cluster().agent(1).stop('SIGKILL');
    const agent = await cluster().startAgent(1);
    expect(await Promise.all([DOCKER, CNI, PODMAN].map(read))).toEqual(before);
    expect(await agent.log()).not.toContain('wrote ');
  });

  it('docker-opts makes the same file of subnet.env', async () => {
    expect(await twill('docker-opts', '-d', '/run/opts')).toMatchObject({ exitCode: 0 });
    expect(await read('/run/opts')).toBe(await read(DOCKER));
  });

  it('docker-opts refuses a subnet that a gateway has', async () => {
    const { namespace } = host();
    await namespace.ip('route add 10.6.1.0/24 via 192.168.77.9');
    await writeFile(host().path('/run/other.env'), 'FLANNEL_SUBNET=10.6.1.1/24\n');
    const refused = await twill('docker-opts', '-f', '/run/other.env', '-d', '/run/other-opts');
    expect(refused).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('a route leads elsewhere: 10.6.1.0/24 via 192.168.77.9 dev eth0\n'),
    });
    await expect(read('/run/other-opts')).rejects.toThrow('ENOENT');
    // That is what a running docker0 looks like.
    await namespace.ip('route del 10.6.1.0/24 via 192.168.77.9', 'route add 10.6.1.0/24 dev docker0');
    expect(await twill('docker-opts', '-f', '/run/other.env', '-d', '/run/other-opts')).toMatchObject({
      exitCode: 0,
    });
  });

  it('the agent keeps its subnet though mk-docker-opts.sh wrote over subnet.env, and says so', async () => {
    const before = await read(SUBNET_ENV);
    expect(await twill('docker-opts', '-d', SUBNET_ENV)).toMatchObject({ exitCode: 2 });
    await cluster().agent(1).stop();
    await writeFile(host().path(SUBNET_ENV), await read(DOCKER));
    const agent = await cluster().startAgent(1);
    expect(await read(SUBNET_ENV)).toBe(before);
    const lines = (await agent.log()).split('\n').filter((line) => line.includes('mk-docker-opts.sh'));
    expect(lines).toEqual([expect.stringContaining(`${SUBNET_ENV} held flags of Docker: `)]);
  });

  it('cleanup takes back its own files, and names a file that somebody else wrote there', async () => {
    await cluster().agent(1).stop('SIGKILL');
    await writeFile(host().path(CNI), '{"name":"mine"}');
    const flags = cluster().flags.filter((flag) => !flag.startsWith('--healthz-port'));
    const { stdout, exitCode } = await twill('cleanup', ...flags);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`- file ${DOCKER}\n`);
    expect(stdout).toContain(`- file ${PODMAN}\n`);
    expect(stdout).toContain(`  file ${CNI} stays: another program or user wrote it\n`);
    expect(await read(CNI)).toBe('{"name":"mine"}');
    for (const path of [DOCKER, PODMAN, SUBNET_ENV]) await expect(read(path)).rejects.toThrow('ENOENT');
  });
});
