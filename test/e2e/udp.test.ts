// Features of the udp backend alone: a device and a thread that can fail, a port that is open to strangers, and
// counters.
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FORGED, forge, innerPacket } from '../lab/forge.ts';
import type { Host } from '../lab/lab.ts';
import { TWILL } from '../lab/paths.ts';
import { ping } from '../lab/ping.ts';
import { checkMetrics, promtoolFailure } from '../lab/promtool.ts';
import { scrape } from '../lab/scrape.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { readScrape, strangersIn } from '../support/scrape.ts';
import { useCluster } from './cluster.ts';

const UDP_PORT = 8_285;
/** The requirement is a second; the rest is for a busy machine. */
const HEAL_LIMIT_MS = 3_000;
const RECORD_FILE = '/run/flannel/subnet.env.data-plane';

describe.skipIf(NEEDS_CLUSTER.missing)(title('the udp backend', NEEDS_CLUSTER), () => {
  const cluster = useCluster({ hosts: 2, backend: { Type: 'udp' }, flags: ['--tunnel-filter=off'] });
  const pair = () => {
    const [first] = cluster().pairs();
    if (first === undefined) throw new Error('no pair');
    return first;
  };

  it('the udp backend survives the deletion of its device, and packets flow again', async () => {
    const [from, to] = pair();
    const { namespace } = cluster().lab.host(1);
    await namespace.run(['ip', 'link', 'delete', 'flannel0']);
    await waitFor('packets flow again', HEAL_LIMIT_MS, async () => {
      return (await from.namespace.exec(['ping', '-n', '-c', '1', '-W', '0.2', to.address])).exitCode === 0;
    });
    await waitFor(
      'it is ready again',
      HEAL_LIMIT_MS,
      async () => (await metrics(cluster().lab.host(1))).get('ready') === 1,
    );
  });

  it('the udp backend counts packets and bytes in both directions, in metrics that are in the table', async () => {
    const [from, to] = pair();
    const host = cluster().lab.host(1);
    const series = ['packets_total{direction="in"}', 'packets_total{direction="out"}'].flatMap((end) => [
      `twill_udp_${end}`,
      `twill_udp_${end.replace('packets', 'bytes')}`,
    ]);
    const before = readScrape(await scrape(host));
    await ping(from.namespace, to.address, { count: 20, everyMs: 10 });
    const text = await scrape(host);
    const after = readScrape(text);
    const grown = series.map((name) => (after.get(name) ?? 0) - (before.get(name) ?? 0));
    expect(Math.min(...grown)).toBeGreaterThanOrEqual(20);
    expect(strangersIn(text)).toEqual([]);
    if ((await promtoolFailure()) === undefined) expect(await checkMetrics(text)).toBe('');
  });

  it('the udp backend accepts datagrams from peers only', async () => {
    const [, to] = pair();
    const host = cluster().lab.host(2);
    const before = await metrics(host);
    const payload = innerPacket('10.5.255.2', to.address);
    const from = { address: '0.0.0.0', port: UDP_PORT };
    await cluster().lab.router.run(forge({ to: host.address, port: UDP_PORT, payload, from }));
    await waitFor('strangers are counted', 5_000, async () => {
      return ((await metrics(host)).get('stranger') ?? 0) >= (before.get('stranger') ?? 0) + FORGED;
    });
  });

  it('the udp backend accepts nothing from another program on the host of a peer', async () => {
    const [from, to] = pair();
    const [peer, host] = [cluster().lab.host(1), cluster().lab.host(2)];
    const before = await metrics(host);
    const payload = innerPacket(from.address, to.address);
    await peer.namespace.run(forge({ to: host.address, port: UDP_PORT, payload }));
    await waitFor('its datagrams are counted', 5_000, async () => {
      const count = (await metrics(host)).get('source_port') ?? 0;
      return count >= (before.get('source_port') ?? 0) + FORGED;
    });
  });

  it('the udp backend moves packets before the datastore answers, and then goes on without a pause', async () => {
    const [from, to] = pair();
    const host = cluster().lab.host(1);
    await waitForRecord(host);
    await cluster().agent(1).stop('SIGKILL');
    expect((await ping(from.namespace, to.address)).received).toBe(0);
    const [etcd] = cluster().etcd.members;
    etcd?.pause();
    let started: Promise<unknown>;
    try {
      started = cluster().startAgent(1);
      await waitFor('packets flow again', 10_000, async () => {
        return (await ping(from.namespace, to.address)).received > 0;
      });
      expect((await metrics(host)).get('ready')).toBe(0);
    } finally {
      etcd?.resume();
    }
    const stream = ping(from.namespace, to.address, { count: 100, everyMs: 10 });
    await started;
    const { sent, received } = await stream;
    expect(received).toBe(sent);
  });

  it('the udp backend moves no packets when another node took its subnet meanwhile', async () => {
    const { etcd, lab } = cluster();
    const host = lab.host(1);
    const before = await host.subnetEnv();
    await waitForRecord(host);
    await cluster().agent(1).stop('SIGTERM');
    const key = `/coreos.com/network/subnets/${before?.subnet.replace('.1/', '.0-')}`;
    await etcd.etcdctl('put', key, JSON.stringify({ PublicIP: '192.168.77.99', BackendType: 'udp' }));
    const agent = await cluster().startAgent(1);
    expect(await agent.log()).toContain("the subnet of the last run is another node's");
    expect((await host.subnetEnv())?.subnet).not.toBe(before?.subnet);
    await cluster().waitForTunnels();
  });

  it('cleanup removes the record of the data plane', async () => {
    const host = cluster().lab.host(1);
    const path = host.path(RECORD_FILE);
    await waitForRecord(host);
    expect((await stat(path)).mode & 0o7777).toBe(0o600);
    await cluster().agent(1).stop('SIGTERM');
    expect(existsSync(path)).toBe(true);
    expect(await host.namespace.run([...TWILL, 'cleanup'])).toContain(`- file ${RECORD_FILE}\n`);
    expect(existsSync(path)).toBe(false);
  });
});

/** Waits until the agent has recorded the input of its data plane. */
async function waitForRecord(host: Host): Promise<void> {
  await waitFor('the data plane is recorded', 5_000, async () => existsSync(host.path(RECORD_FILE)));
}

async function metrics(host: Host): Promise<ReadonlyMap<string, number>> {
  const text = await scrape(host);
  const drops = [...text.matchAll(/^twill_udp_dropped_packets_total\{reason="(\w+)"\} (\d+)$/gm)];
  const ready = /^twill_ready (\d)$/m.exec(text)?.[1];
  return new Map([
    ['ready', Number(ready)],
    ...drops.map(([, reason = '', count]) => [reason, Number(count)] as const),
  ]);
}
