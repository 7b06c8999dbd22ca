// `twill plan` changes nothing, and `twill cleanup` removes everything of ours and nothing else.
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TWILL } from '../lab/paths.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';
import { addForeignThings, dumpHost } from './host-dump.ts';

const SUBNETS = '/coreos.com/network/subnets/';

describe.skipIf(NEEDS_CLUSTER.missing).each([
  { type: 'vxlan', nft: false },
  { type: 'vxlan', nft: true },
  { type: 'host-gw', nft: false },
  { type: 'host-gw', nft: true },
])(title('$type (nftables: $nft)', NEEDS_CLUSTER), ({ type, nft }) => {
  let untouched = '';
  const cluster = useCluster({
    hosts: 2,
    containers: false,
    backend: { Type: type },
    // The foreign route is in the overlay but above SubnetMax, because we replace the route of a leased subnet.
    network: { EnableNFTables: nft, SubnetMax: '10.5.200.0' },
    flags: ['--ip-masq', '--ip-blackhole-route'],
    prepare: async ({ lab }) => {
      await addForeignThings(lab.host(1).namespace);
      untouched = await dumpHost(lab.host(1).namespace);
    },
  });
  const twill = (command: string) => {
    const flags = cluster().flags.filter((flag) => !flag.startsWith('--healthz-port'));
    return cluster()
      .lab.host(1)
      .namespace.run([...TWILL, command, ...flags]);
  };

  it('plan prints the objects that the agent makes, and changes nothing', async () => {
    const { lab, etcd } = cluster();
    const before = [await dumpHost(lab.host(1).namespace), await etcd.etcdctl('get', '--prefix', SUBNETS)];
    const plan = await twill('plan');
    const peer = (await lab.host(2).subnetEnv())?.subnet.replace('.1/', '.0/');
    expect(plan).toContain(
      `route ${peer} via ${type === 'vxlan' ? peer?.replace('/24', '') : '192.168.77.2'} dev `,
    );
    if (type === 'vxlan') expect(plan).toContain('link vxlan flannel.1 ');
    expect([await dumpHost(lab.host(1).namespace), await etcd.etcdctl('get', '--prefix', SUBNETS)]).toEqual(
      before,
    );
  });

  it('the agent changes no foreign object', async () => {
    const now = new Set((await dumpHost(cluster().lab.host(1).namespace)).split('\n'));
    expect(untouched.split('\n').filter((line) => !now.has(line))).toEqual([]);
  });

  it('cleanup removes everything of ours and nothing else', async () => {
    const host = cluster().lab.host(1);
    const { namespace } = host;
    const path = host.path('/run/flannel/subnet.env');
    const before = await dumpHost(namespace);
    expect(before.match(/^:TWILL-DIRECT /gm)).toHaveLength(2);
    expect(before).toContain('table ip twill-containers {');
    expect(existsSync(path)).toBe(true);
    await cluster().agent(1).stop('SIGKILL');
    const said = await twill('cleanup');
    expect(said.trim().split('\n').length, said).toBeGreaterThan(1);
    expect(await dumpHost(namespace)).toBe(untouched);
    expect(existsSync(path)).toBe(false);
    expect(await twill('cleanup')).toBe('nothing to remove\n');
  });
});
