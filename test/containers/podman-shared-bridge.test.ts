// Docker and Podman share one bridge and one subnet: somebody else makes the bridge, and each engine has its own range
// of addresses. A host for each release of Docker.
import { beforeAll, describe, expect, it } from 'vitest';
import { sourceSeen } from '../lab/datagram.ts';
import { type Docker, startDocker } from '../lab/engines/dockerd.ts';
import type { DockerRelease } from '../lab/engines/dockers.ts';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { writeNetworkFile } from '../lab/engines/podman-network.ts';
import type { Host } from '../lab/host.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { allOf, title } from '../support/needs.ts';
import { DOCKERS, needsDocker } from './docker-bed.ts';
import { needsPodman, PODMAN_5, usePodmans } from './podman-bed.ts';

const NEED = allOf(needsPodman(PODMAN_5), ...DOCKERS.map(needsDocker));
/** What Podman needs no link, address and rule of its own for. */
const BRIDGE = 'shared0';

describe.skipIf(NEED.missing)(title('a bridge of Docker and Podman', NEED), () => {
  // netavark leaves a bridge alone from 1.14 on.
  const kinds = DOCKERS.map(({ title: name }) => ({ name, release: PODMAN_5 }));
  const bed = usePodmans(kinds, {}, shareBridge);
  const dockers: Docker[] = [];
  const containers: { readonly host: Host; readonly container: EngineContainer }[] = [];

  beforeAll(async () => {
    for (const [index, { host, web }] of bed().hosts.entries()) {
      const docker = await startOnBridge(host, DOCKERS[index] as DockerRelease);
      dockers.push(docker);
      containers.push({ host, container: web }, { host, container: await docker.run(`docker${index + 1}`) });
    }
  });

  it('the engines give addresses of their own halves', async () => {
    for (const { host, container } of containers) {
      const { subnet } = await host.waitForSubnetEnv();
      const last = Number(container.address.replace(subnet.replace(/1\/24$/, ''), ''));
      expect(last >= 128, `${container.name} ${container.address}`).toBe(container.name.startsWith('web'));
    }
  });

  it('all containers see each other with their own addresses, on one host and on different ones', async () => {
    for (const { container: from } of containers) {
      for (const { container: to } of containers) {
        if (from === to) continue;
        const what = `${from.name} to ${to.name}`;
        expect(await sourceSeenBy(to.address, from.namespace), what).toBe(from.address);
      }
    }
  });

  it('all containers have the address of their host outside of the overlay', async () => {
    const { outside } = bed().cluster.lab;
    for (const { host, container } of containers)
      expect(await sourceSeen(container.namespace, outside, OUTSIDE_ADDRESS), container.name).toBe(
        host.address,
      );
  });

  it('a stop of dockerd leaves the bridge and the containers of Podman', async () => {
    const [docker] = dockers;
    const [own, other] = bed().hosts;
    await docker?.stop();
    if (own === undefined || other === undefined) throw new Error('there are no two hosts');
    expect(await sourceSeenBy(own.web.address, other.web.namespace)).toBe(other.web.address);
  });
});

async function shareBridge(host: Host): Promise<void> {
  const { subnet, mtuBytes } = await host.waitForSubnetEnv();
  const start = subnet.replace(/\.1\/24$/, '');
  await host.namespace.ip(
    `link add ${BRIDGE} mtu ${mtuBytes} type bridge`,
    `addr add ${subnet} dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
  );
  const range = { start_ip: `${start}.128`, end_ip: `${start}.254` };
  await writeNetworkFile(host, {
    network_interface: BRIDGE,
    subnets: [{ subnet: `${start}.0/24`, gateway: `${start}.1`, lease_range: range }],
    dns_enabled: false,
    options: { mode: 'unmanaged' },
  });
}

async function startOnBridge(host: Host, release: DockerRelease): Promise<Docker> {
  const { subnet, mtuBytes } = await host.waitForSubnetEnv();
  const half = subnet.replace(/\.1\/24$/, '.0/25');
  const flags = [`--bridge=${BRIDGE}`, `--fixed-cidr=${half}`, `--mtu=${mtuBytes}`];
  return startDocker(host, release, { flags });
}
