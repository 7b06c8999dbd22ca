// Restarts under traffic. The data path is the kernel's: an agent that stops, dies and comes back must not disturb it.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Container } from '../lab/container.ts';
import { pingForever } from '../lab/ping.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { type Cluster, useCluster } from './cluster.ts';

const PING_EVERY_MS = 10;
/** Answers that must come between two events, so that each of them happens under traffic. */
const BETWEEN = 30;
const STOP_LIMIT_MS = 1_000;

interface Stream {
  /** Waits for more answers. */
  flows(): Promise<void>;
  /** Ends it and gives the numbers of the packets that were not answered. */
  lost(): Promise<number[]>;
}

function startStream(folder: string, from: Container, to: Container): Stream {
  const log = join(folder, `ping-${from.name}-${to.name}.log`);
  const process = new LabProcess(from.namespace.command(pingForever(to.address, PING_EVERY_MS)), log);
  const answered = async (): Promise<number[]> => {
    const text = await process.log();
    return [...text.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number));
  };
  return {
    flows: async () => {
      const before = (await answered()).length;
      await waitFor(`${BETWEEN} more answers from ${to.name}`, 5_000, async () => {
        return (await answered()).length >= before + BETWEEN;
      });
    },
    lost: async () => {
      await process.stop('SIGINT');
      const numbers = new Set(await answered());
      // The end of ping may cut off the last packets, so only gaps before the last answer count.
      return Array.from({ length: Math.max(...numbers) }, (_, index) => index + 1).filter(
        (n) => !numbers.has(n),
      );
    },
  };
}

async function leaseOf(cluster: Cluster, number: number): Promise<string> {
  const subnet = (await cluster.lab.host(number).subnetEnv())?.subnet.replace('.1/', '.0-');
  return cluster.etcd.etcdctl('get', `/coreos.com/network/subnets/${subnet}`);
}

async function neighboursOf(cluster: Cluster, number: number): Promise<string> {
  const { namespace } = cluster.lab.host(number);
  const link = await namespace.exec(['ip', '-o', 'link', 'show', 'flannel.1']);
  const fdb = await namespace.exec(['bridge', 'fdb', 'show', 'dev', 'flannel.1']);
  return link.stdout + fdb.stdout;
}

describe.skipIf(NEEDS_CLUSTER.missing).each([
  { type: 'vxlan', nft: false },
  { type: 'vxlan', nft: true },
  { type: 'host-gw', nft: false },
])(title('$type (nftables: $nft)', NEEDS_CLUSTER), ({ type, nft }) => {
  const cluster = useCluster({
    hosts: 2,
    backend: { Type: type },
    network: { EnableNFTables: nft },
    flags: ['--ip-masq'],
    prepare: async ({ hosts }) => {
      if (nft) return;
      for (const { namespace } of hosts) await namespace.run(['iptables', '-P', 'FORWARD', 'DROP']);
    },
  });

  it('an agent stops within a second on SIGTERM, and leaves routes, lease and subnet.env', async () => {
    const before = [
      await cluster().routes(1),
      await leaseOf(cluster(), 1),
      await cluster().lab.host(1).subnetEnv(),
    ];
    const { code, tookMs } = await cluster().agent(1).stop('SIGTERM');
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(STOP_LIMIT_MS);
    const after = [
      await cluster().routes(1),
      await leaseOf(cluster(), 1),
      await cluster().lab.host(1).subnetEnv(),
    ];
    expect(after).toEqual(before);
    expect(before[0]).toHaveLength(1);
    expect(before[1]).toContain('"PublicIP":"192.168.77.1"');
    await cluster().startAgent(1);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'no packet is lost while an agent ends by %s and starts again',
    async (signal) => {
      const { lab } = cluster();
      const streams = [
        startStream(lab.folder, cluster().container(1), cluster().container(2)),
        startStream(lab.folder, cluster().container(2), cluster().container(1)),
      ];
      const flow = () => Promise.all(streams.map((stream) => stream.flows()));
      const before = await neighboursOf(cluster(), 1);
      const lease = await leaseOf(cluster(), 1);
      await flow();
      for (const number of [1, 2]) {
        await cluster().agent(number).stop(signal);
        await flow();
        await cluster().startAgent(number);
        await flow();
      }
      expect(await Promise.all(streams.map((stream) => stream.lost()))).toEqual([[], []]);
      expect(await neighboursOf(cluster(), 1)).toBe(before);
      expect(await leaseOf(cluster(), 1)).toBe(lease);
    },
  );
});
