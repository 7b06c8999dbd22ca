// Hosts on which the first link, the first address or the default route is not the underlay.
import { afterEach, describe, expect, it } from 'vitest';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Host, type Lab, OVERLAY, openLab, ROUTER_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { readLeases } from '../lab/stored-leases.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

/** Time in which a wrong move would happen: events settle within a second. */
const QUIET_MS = 2_000;

const VIRTUAL = '192.168.77.100';
const DEFAULT_ROUTE = `route replace default via ${ROUTER_ADDRESS}`;

interface Bed {
  readonly lab: Lab;
  readonly etcd: LabEtcd;
  /** Starts the agent of host 1 or 2, and waits until it is ready. */
  readonly start: (number: number) => Promise<AgentProcess>;
}

let opened: Lab | undefined;

async function openBed(
  backend: string,
  prepare: (host: Host, number: number, lab: Lab) => Promise<unknown>,
  flags: (number: number) => readonly string[] = () => [],
): Promise<Bed> {
  const lab = await openLab({ hosts: 2 });
  opened = lab;
  const etcd = await startLabEtcd(lab);
  await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: backend } });
  const start = async (number: number): Promise<AgentProcess> => {
    const common = [...etcd.flags, `--healthz-port=${HEALTHZ_PORT}`];
    const agent = lab.host(number).startAgent([...common, ...flags(number)]);
    await agent.waitReady();
    return agent;
  };
  for (const [index, host] of lab.hosts.entries()) await prepare(host, index + 1, lab);
  return { lab, etcd, start };
}

async function packetsFlow({ lab }: Bed): Promise<void> {
  const [one, two] = await Promise.all(
    lab.hosts.map(async (host) => host.containers[0] ?? (await host.addContainer())),
  );
  if (one === undefined || two === undefined) throw new Error('a container is missing');
  await waitFor('packets flow', 5_000, async () => (await ping(one.namespace, two.address)).received === 1);
}

async function announced({ etcd }: Bed): Promise<readonly string[]> {
  return (await readLeases(etcd)).map(({ publicIP }) => publicIP).sort();
}

/** Puts the virtual address before the host's own. */
function addVirtual(host: Host, number: number, length: number): Promise<string> {
  const own = `192.168.77.${number}/24`;
  return host.namespace.ip(
    `addr del ${own} dev eth0`,
    `addr add ${VIRTUAL}/${length} dev eth0`,
    `addr add ${own} dev eth0`,
    DEFAULT_ROUTE,
  );
}

/** A link without other hosts that has the default route; the same on all hosts, as in Vagrant. */
async function addNat(host: Host): Promise<void> {
  await host.namespace.ip(
    'link add nat type veth peer name nat-end',
    'link set nat-end up',
    'link set nat up',
    'addr add 10.0.2.15/24 dev nat',
    'route replace default via 10.0.2.2 dev nat',
  );
}

/** The host's address is on lo, and two uplinks lead to the router, which knows the address by both. */
async function speakBgp(host: Host, number: number, { router }: Lab): Promise<void> {
  await router.ip(
    `link add up${number} type veth peer name eth1 netns ${host.namespace.name}`,
    `addr add 10.1.${number}.0/31 dev up${number}`,
    `link set up${number} up`,
  );
  await host.namespace.run([
    'sysctl',
    '-qw',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.eth0.rp_filter=0',
  ]);
  await host.namespace.ip(
    `addr add 10.99.0.${number}/32 dev lo`,
    `addr add 10.1.${number}.1/31 dev eth1`,
    'link set eth1 mtu 1400 up',
    `route replace default src 10.99.0.${number} nexthop via ${ROUTER_ADDRESS} dev eth0 nexthop via 10.1.${number}.0 dev eth1`,
  );
  await router.ip(
    `route add 10.99.0.${number}/32 nexthop via 192.168.77.${number} dev br1 nexthop via 10.1.${number}.1 dev up${number}`,
  );
}

afterEach(async () => {
  await opened?.close();
  opened = undefined;
});

describe
  .skipIf(NEEDS_CLUSTER.missing)
  .each([{ backend: 'vxlan' }, { backend: 'host-gw' }, { backend: 'udp' }])(
  title('the choice of the underlay of $backend', NEEDS_CLUSTER),
  ({ backend }) => {
    it('an announced address makes its link the underlay, whichever has the default route', async () => {
      const bed = await openBed(backend, addNat, (number) => [`--public-ip=192.168.77.${number}`]);
      await Promise.all([bed.start(1), bed.start(2)]);
      await packetsFlow(bed);
      expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
    });

    it('a virtual address that both hosts have first is announced by none, also after a restart', async () => {
      const bed = await openBed(backend, (host, number) => addVirtual(host, number, 32));
      const agents = await Promise.all([bed.start(1), bed.start(2)]);
      expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
      await packetsFlow(bed);
      await Promise.all(agents.map((agent) => agent.stop()));
      await Promise.all([bed.start(1), bed.start(2)]);
      await packetsFlow(bed);
      expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
    });

    it('the overlay follows its address to a bridge, and the announcement stays', async () => {
      const bed = await openBed(backend, async () => undefined);
      const [agent] = await Promise.all([bed.start(1), bed.start(2)]);
      await packetsFlow(bed);
      const { namespace } = bed.lab.host(1);
      await namespace.ip(
        'link add br0 type bridge',
        'link set br0 up',
        'addr del 192.168.77.1/24 dev eth0',
        'link set eth0 master br0',
        'addr add 192.168.77.1/24 dev br0',
        DEFAULT_ROUTE,
      );
      await agent?.waitForLine(/the underlay has changed: using br0/);
      await packetsFlow(bed);
      expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
    });

    it('the underlay gives way to another link only when it has been down for long', async () => {
      const bed = await openBed(backend, async ({ namespace }, number, { router }) => {
        await router.ip(
          `link add up${number} type veth peer name eth1 netns ${namespace.name}`,
          `link set up${number} master br1 up`,
        );
        await namespace.ip(
          `addr add 192.168.77.1${number}/24 dev eth1`,
          'link set eth1 up',
          `route add default via ${ROUTER_ADDRESS} dev eth1 metric 200`,
        );
      });
      const [agent] = await Promise.all([bed.start(1), bed.start(2)]);
      await packetsFlow(bed);
      const { namespace } = bed.lab.host(1);
      await namespace.ip('link set eth0 down');
      await agent?.waitForLine(/eth1 192\.168\.77\.11 is about to take its place/);
      await namespace.ip('link set eth0 up', `${DEFAULT_ROUTE} dev eth0`);
      await packetsFlow(bed);
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
      await namespace.ip('link set eth0 down');
      await agent?.waitForLine(/the underlay has changed: using eth1/);
      await expect.poll(() => announced(bed)).toEqual(['192.168.77.11', '192.168.77.2']);
      await packetsFlow(bed);
    });

    it.each([24, 32])(
      'a virtual address, /%i, that comes first and goes again moves nothing',
      async (length) => {
        const bed = await openBed(backend, async () => undefined);
        const agents = await Promise.all([bed.start(1), bed.start(2)]);
        await packetsFlow(bed);
        // Hosts that share an address of their own prefix get no answer to their ARP requests from it.
        const holders = bed.lab.hosts.slice(0, length === 32 ? 2 : 1);
        for (const [index, host] of holders.entries()) await addVirtual(host, index + 1, length);
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
        await packetsFlow(bed);
        for (const { namespace } of holders) {
          // Without the setting, Linux would drop the other addresses of the network with its first one.
          await namespace.run(['sysctl', '-qw', 'net.ipv4.conf.all.promote_secondaries=1']);
          await namespace.ip(`addr del ${VIRTUAL}/${length} dev eth0`, DEFAULT_ROUTE);
        }
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
        await packetsFlow(bed);
        expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
        for (const agent of agents) expect(await agent.log()).not.toContain('the underlay has changed');
      },
    );
  },
);

describe.skipIf(NEEDS_CLUSTER.missing).each([{ backend: 'vxlan' }, { backend: 'udp' }])(
  title('hosts that speak BGP, with $backend', NEEDS_CLUSTER),
  ({ backend }) => {
    it('hosts with their address on lo and two uplinks reach each other, also by one of them alone', async () => {
      const bed = await openBed(backend, speakBgp);
      const { lab } = bed;
      const [agent] = await Promise.all([bed.start(1), bed.start(2)]);
      await packetsFlow(bed);
      expect(await announced(bed)).toEqual(['10.99.0.1', '10.99.0.2']);
      const overheadBytes = backend === 'vxlan' ? 50 : 28;
      expect((await lab.host(1).subnetEnv())?.mtuBytes).toBe(1_400 - overheadBytes);
      await lab.router.ip('link set h1 down', 'route replace 10.99.0.1/32 via 10.1.1.1 dev up1');
      await lab.host(1).namespace.ip('route replace default src 10.99.0.1 via 10.1.1.0 dev eth1');
      await packetsFlow(bed);
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      await packetsFlow(bed);
      expect(await agent?.log()).not.toContain('the underlay has changed');
    });
  },
);

describe.skipIf(NEEDS_CLUSTER.missing)(title('a device of the overlay', NEEDS_CLUSTER), () => {
  it('a device of the overlay that a DHCP client configures does not become the underlay', async () => {
    const bed = await openBed('vxlan', async () => undefined);
    const [agent] = await Promise.all([bed.start(1), bed.start(2)]);
    await packetsFlow(bed);
    const host = bed.lab.host(1).namespace;
    for (let i = 0; i < 3; i++) {
      // The agent removes the address, and with it the route, within moments.
      await host.exec(['ip', 'addr', 'add', '10.44.0.77/24', 'dev', 'flannel.1']);
      await host.exec(['ip', 'route', 'prepend', 'default', 'via', '10.44.0.1', 'dev', 'flannel.1']);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await packetsFlow(bed);
    expect(await agent?.log()).not.toContain('the underlay has changed');
    expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
    await agent?.stop();
    // Left over from a run before.
    await host.exec(['ip', 'addr', 'add', '10.44.0.77/24', 'dev', 'flannel.1']);
    await host.ip(
      'route replace default via 10.44.0.1 dev flannel.1',
      `route add default via ${ROUTER_ADDRESS} metric 100`,
    );
    await bed.start(1);
    expect(await announced(bed)).toEqual(['192.168.77.1', '192.168.77.2']);
    await packetsFlow(bed);
  });
});
