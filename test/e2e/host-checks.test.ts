// Settings, addresses and routes of a host that stop the overlay's packets: the agent mends them, or is not ready and
// names them.
import { afterEach, describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { Container } from '../lab/container.ts';
import type { Host } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { type Cluster, useCluster } from './cluster.ts';

/** The check looks every two seconds. The rest is for a busy machine. */
const HEAL_LIMIT_MS = 6_000;
/** Addresses and routes are read every ten seconds. */
const NOTICE_LIMIT_MS = 15_000;

const SETTINGS = '/proc/sys/net/ipv4';

describe.skipIf(NEEDS_CLUSTER.missing)(title('a host that forwards no packets', NEEDS_CLUSTER), () => {
  const cluster = useCluster({ hosts: 2, backend: { Type: 'vxlan' } });
  const host = (): Host => cluster().lab.host(1);
  const set = (name: string, value: number): Promise<string> =>
    host().namespace.run(['sh', '-c', `echo ${value} > ${SETTINGS}/${name}`]);

  afterEach(async () => {
    await becomesReady(host());
    await packetsFlow(cluster());
  });

  it('forwarding that is off at the start is turned on, and the log says so', async () => {
    await cluster().agent(1).stop('SIGTERM');
    await set('ip_forward', 0);
    const agent = await cluster().startAgent(1);
    expect(await agent.log()).toContain('set net.ipv4.ip_forward to 1');
    await packetsFlow(cluster());
    expect(await answers(...first(cluster()))).toBe(true);
  });

  it('forwarding of the overlay link that is off is turned on', async () => {
    await set('conf/flannel.1/forwarding', 0);
    expect(await answers(...first(cluster()))).toBe(false);
    await packetsFlow(cluster());
  });

  it('forwarding of the only bridge of containers that is off makes the node not ready', async () => {
    await set('conf/docker0/forwarding', 0);
    await isNotReady(
      host(),
      /^\/proc\/sys\/net\/ipv4\/conf\/docker0\/forwarding is 0, so packets .* docker0/,
    );
    await set('conf/docker0/forwarding', 1);
  });

  it('forwarding that cannot be turned on makes the node not ready until it is on', async () => {
    await cluster().agent(1).stop('SIGTERM');
    await host().namespace.run(['mount', '--bind', '/proc/sys', '/proc/sys']);
    await host().namespace.run(['mount', '-o', 'remount,bind,ro', '/proc/sys']);
    await outside(host(), 0);
    const starting = cluster().startAgent(1);
    await isNotReady(
      host(),
      /^\/proc\/sys\/net\/ipv4\/ip_forward is 0, .*read-only.*"sysctl -w net.ipv4.ip_forward=1"$/,
    );
    await outside(host(), 1);
    await starting;
    await host().namespace.run(['umount', '/proc/sys']);
  });

  it('forwarding that the operator keeps is left alone, and makes the node not ready until it is on', async () => {
    await cluster().agent(1).stop('SIGTERM');
    await set('ip_forward', 0);
    const agent = host().startAgent([...cluster().flags, '--ip-forward=off']);
    await isNotReady(host(), /^\/proc\/sys\/net\/ipv4\/ip_forward is 0, .*\(--ip-forward=off leaves it so\)/);
    await set('ip_forward', 1);
    await becomesReady(host());
    await agent.stop('SIGTERM');
    await cluster().startAgent(1);
  });

  it('forwarding that another program turns off again is not fought, and makes the node not ready', async () => {
    // The first one is mended, unless an earlier test has just done it.
    await set('ip_forward', 0);
    await waitFor('it is on', HEAL_LIMIT_MS, async () => {
      return (await host().namespace.run(['cat', `${SETTINGS}/ip_forward`])).trim() === '1';
    });
    await set('ip_forward', 0);
    await isNotReady(host(), /ip_forward is 0, .*another program has set it to 0 again/);
    await set('ip_forward', 1);
  });

  it('a table of another program that takes the packets makes the node not ready', async () => {
    const { namespace } = host();
    await namespace.ip(
      'link add vpn0 type bridge',
      'link set vpn0 up',
      'route add 10.5.0.0/16 dev vpn0 table 52',
      'rule add pref 5270 lookup 52',
    );
    await isNotReady(
      host(),
      /^packets to 10\.5\.\d+\.0\/24 leave by vpn0 and not by flannel\.1, by table 52 /,
    );
    await namespace.ip('rule del pref 5270', 'link del vpn0');
  });
});

describe.skipIf(NEEDS_CLUSTER.missing)(title('a host without TUN devices', NEEDS_CLUSTER), () => {
  const cluster = useCluster({ hosts: 1, backend: { Type: 'udp' }, containers: false });

  it('the agent ends without /dev/net/tun, and says how to get it', async () => {
    const host = cluster().lab.host(1);
    await cluster().agent(1).stop('SIGTERM');
    await host.namespace.run(['mount', '-t', 'tmpfs', 'tmpfs', '/dev/net']);
    const agent = host.startAgent(cluster().flags);
    await agent.waitForLine(/open \/dev\/net\/tun: ENOENT/);
    await agent.waitForLine(/modprobe tun/);
    await host.namespace.run(['umount', '/dev/net']);
  });
});

describe.skipIf(NEEDS_CLUSTER.missing)(title('a bridge with too wide an address', NEEDS_CLUSTER), () => {
  const cluster = useCluster({
    hosts: 2,
    backend: { Type: 'udp' },
    network: { Network: '172.17.0.0/16' },
    containers: false,
  });

  it('a bridge that covers the network makes the node not ready until it has our subnet', async () => {
    const { lab } = cluster();
    const [host, peer] = [lab.host(1), lab.host(2)];
    const to = await peer.addContainer();
    await cluster().agent(1).stop('SIGTERM');
    const env = await host.waitForSubnetEnv();
    // Docker's own address.
    const from = await host.addContainer({ ...env, subnet: '172.17.0.1/16' });
    expect(await answers(from, to)).toBe(false);
    const starting = cluster().startAgent(1);
    const own = env.subnet.replaceAll('.', '\\.');
    await isNotReady(
      host,
      new RegExp(`^docker0 has 172\\.17\\.0\\.1/16, which covers .*--bip=${own}, or choose another`),
    );
    await host.namespace.ip('addr del 172.17.0.1/16 dev docker0');
    await starting;
    const right = await host.addContainer(env);
    expect(await answers(right, to)).toBe(true);
  });

  it('a bridge that covers the network is right where the host answers ARP for other nodes', async () => {
    const { lab } = cluster();
    const host = lab.host(1);
    const [to] = lab.host(2).containers;
    const { subnet, ...env } = await host.waitForSubnetEnv();
    await host.namespace.ip('addr flush dev docker0');
    const from = await host.addContainer({ ...env, subnet: subnet.replace('/24', '/16') });
    if (to === undefined) throw new Error('no container');
    await isNotReady(host, /^docker0 has 172\.17\.\d+\.1\/16, which covers/);
    expect(await answers(from, to)).toBe(false);
    await host.namespace.run(['sh', '-c', `echo 1 > ${SETTINGS}/conf/docker0/proxy_arp`]);
    await becomesReady(host);
    expect(await answers(from, to)).toBe(true);
    await host.namespace.ip('addr flush dev docker0', `addr add ${subnet} dev docker0`);
  });

  it('another bridge that covers the network is named in the log, beside one with our subnet', async () => {
    const host = cluster().lab.host(1);
    await host.namespace.ip('link add br9 type bridge', 'addr add 172.17.0.1/16 dev br9', 'link set br9 up');
    await cluster()
      .agent(1)
      .waitForLine(/WARN.*br9 has 172\.17\.0\.1\/16, which covers/i, NOTICE_LIMIT_MS);
    await becomesReady(host);
    await host.namespace.ip('link del br9');
  });
});

function first(cluster: Cluster): [Container, Container] {
  const [pair] = cluster.pairs();
  if (pair === undefined) throw new Error('no pair');
  return pair;
}

async function answers(from: Container, to: Container): Promise<boolean> {
  return (await ping(from.namespace, to.address)).received > 0;
}

async function packetsFlow(cluster: Cluster): Promise<void> {
  await waitFor('packets flow', HEAL_LIMIT_MS, () => answers(...first(cluster)));
}

/** Sets forwarding in the host's network, past what is mounted for the host. */
async function outside(host: Host, value: number): Promise<void> {
  const argv = ['sh', '-c', `echo ${value} > ${SETTINGS}/ip_forward`];
  await run(['nsenter', `--net=/proc/${host.holder}/ns/net`, ...argv]);
}

async function isNotReady(host: Host, reason: RegExp): Promise<void> {
  await waitFor(`/readyz says ${reason}`, NOTICE_LIMIT_MS, async () => {
    const { status, body } = await readyz(host);
    return status === 503 && reason.test(body);
  });
}

async function becomesReady(host: Host): Promise<void> {
  await waitFor('/readyz is 200', HEAL_LIMIT_MS, async () => (await readyz(host)).status === 200);
}

async function readyz(host: Host): Promise<{ readonly status: number; readonly body: string }> {
  const program = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz').then(async (r) => process.stdout.write(r.status + ' ' + (await r.text())))`;
  const { stdout } = await host.namespace.exec([process.execPath, '-e', program]);
  return { status: Number(stdout.slice(0, 3)), body: stdout.slice(4).trim() };
}
