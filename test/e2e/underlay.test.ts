// The interface that carries the overlay changes under a running agent: it goes and comes back, or is another one.
import { afterEach, describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { Host } from '../lab/lab.ts';
import { ROUTER_ADDRESS } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

/** The requirement is 1 s after the return and 2 s after a change; the rest is for a busy machine. */
const HEAL_LIMIT_MS = 4_000;

describe.skipIf(NEEDS_CLUSTER.missing).each([
  { backend: 'vxlan', device: 'flannel.1', overheadBytes: 50 },
  { backend: 'host-gw', device: undefined, overheadBytes: 0 },
  { backend: 'udp', device: 'flannel0', overheadBytes: 28 },
] as const)(title('the underlay of $backend', NEEDS_CLUSTER), ({ backend, device, overheadBytes }) => {
  const cluster = useCluster({ hosts: 2, backend: { Type: backend } });
  const host = (): Host => cluster().lab.host(1);
  let address = '192.168.77.1';

  const packetsFlow = async (): Promise<void> => {
    const [from, to] = [cluster().container(2), cluster().container(1)];
    await waitFor('packets flow', HEAL_LIMIT_MS, async () => {
      return (await from.namespace.exec(['ping', '-n', '-c', '1', '-W', '0.2', to.address])).exitCode === 0;
    });
  };
  const isReady = (ready: boolean, reason: RegExp): Promise<string> =>
    waitFor(`/readyz says ${reason}`, 10_000, async () => {
      const { status, body } = await readyz(host());
      return status === (ready ? 200 : 503) && reason.test(body) ? body : undefined;
    });

  afterEach(async () => {
    await packetsFlow();
    await isReady(true, /^ready$/);
  });

  it('traffic flows again after the underlay goes down and comes up', async () => {
    await host().namespace.ip('link set eth0 down');
    await isReady(false, /^interface eth0 is down$/);
    await host().namespace.ip('link set eth0 up', `route add default via ${ROUTER_ADDRESS}`);
    await packetsFlow();
  });

  it('traffic flows again after the underlay goes down and up within one poll', async () => {
    await host().namespace.ip(
      'link set eth0 down',
      'link set eth0 up',
      `route add default via ${ROUTER_ADDRESS}`,
    );
    await packetsFlow();
  });

  it('traffic flows again after the underlay loses its carrier', async () => {
    await cluster().lab.router.ip('link set h1 down');
    await isReady(false, /^interface eth0 has no carrier$/);
    await cluster().lab.router.ip('link set h1 up');
    await packetsFlow();
  });

  it('traffic flows again after the underlay loses its address and gets it back', async () => {
    await host().namespace.ip(`addr del ${address}/24 dev eth0`);
    await isReady(false, /^interface eth0 has no IPv4 address$/);
    await host().namespace.ip(`addr add ${address}/24 dev eth0`, `route add default via ${ROUTER_ADDRESS}`);
    await packetsFlow();
  });

  it('the overlay follows another MTU of the underlay', async () => {
    for (const mtuBytes of [1400, 1500]) {
      await host().namespace.ip(`link set eth0 mtu ${mtuBytes}`);
      await waitFor('the file follows', HEAL_LIMIT_MS, async () => {
        return (await host().subnetEnv())?.mtuBytes === mtuBytes - overheadBytes;
      });
      if (device === undefined) continue;
      const link = await host().namespace.run(['ip', '-o', 'link', 'show', device]);
      expect(link).toContain(` mtu ${mtuBytes - overheadBytes} `);
    }
  });

  it('peers follow another address of the underlay', async () => {
    const subnet = (await host().subnetEnv())?.subnet;
    const next = '192.168.77.11';
    await host().namespace.ip(
      `addr del ${address}/24 dev eth0`,
      `addr add ${next}/24 dev eth0`,
      `route add default via ${ROUTER_ADDRESS}`,
    );
    address = next;
    const gets = ['get', '--prefix', '/coreos.com/network/subnets/', '--print-value-only'];
    await waitFor('the lease follows', HEAL_LIMIT_MS, async () => {
      const leases = (await cluster().etcd.etcdctl(...gets)).split('\n').filter((line) => line !== '');
      return leases.length === 2 && leases.some((line) => line.includes(`"PublicIP":"${next}"`));
    });
    await packetsFlow();
    expect((await host().subnetEnv())?.subnet).toBe(subnet);
  });
});

async function readyz(host: Host): Promise<{ readonly status: number; readonly body: string }> {
  const program = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz').then(async (r) => process.stdout.write(r.status + ' ' + (await r.text())))`;
  const text = await host.namespace.run([process.execPath, '-e', program]);
  return { status: Number(text.slice(0, 3)), body: text.slice(4).trim() };
}
