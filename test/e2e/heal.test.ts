// What somebody else breaks in the kernel is mended: traffic flows again, and everything is as it was.
import { beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, useCluster } from './cluster.ts';
import { title } from './needs.ts';

/** The requirement is a second; the rest is for a machine that has other things to do. */
const HEAL_LIMIT_MS = 4_000;

interface Fault {
  readonly what: string;
  readonly backend: 'vxlan' | 'host-gw';
  /** Commands on host 1. SUBNET, GATEWAY and MAC stand for host 2's. */
  readonly commands: readonly string[];
}

const FAULTS: readonly Fault[] = [
  { what: 'a route is deleted', backend: 'vxlan', commands: ['ip route delete SUBNET'] },
  {
    what: 'a route is replaced by a wrong one',
    backend: 'vxlan',
    commands: ['ip route replace SUBNET dev lo'],
  },
  {
    what: 'the neighbours are flushed',
    backend: 'vxlan',
    commands: ['ip neigh flush dev flannel.1 nud permanent'],
  },
  {
    what: 'an fdb entry is deleted',
    backend: 'vxlan',
    commands: ['bridge fdb delete MAC dev flannel.1 self'],
  },
  { what: 'the device is set down', backend: 'vxlan', commands: ['ip link set flannel.1 down'] },
  {
    what: 'the device is set down and up',
    backend: 'vxlan',
    commands: ['ip link set flannel.1 down', 'ip link set flannel.1 up'],
  },
  { what: 'the device is deleted', backend: 'vxlan', commands: ['ip link delete flannel.1'] },
  { what: "the device's MTU is changed", backend: 'vxlan', commands: ['ip link set flannel.1 mtu 1000'] },
  {
    what: "the device's MAC is changed",
    backend: 'vxlan',
    commands: ['ip link set flannel.1 address 02:00:00:00:99:99'],
  },
  { what: "the device's address is deleted", backend: 'vxlan', commands: ['ip address flush dev flannel.1'] },
  { what: 'a route is deleted', backend: 'host-gw', commands: ['ip route delete SUBNET'] },
  {
    what: 'a route is replaced by a wrong one',
    backend: 'host-gw',
    commands: ['ip route replace SUBNET dev lo'],
  },
];

describe.skipIf(NEEDS_CLUSTER.missing).each(['vxlan', 'host-gw'] as const)(
  title('%s mends it when', NEEDS_CLUSTER),
  (backend) => {
    const cluster = useCluster({ hosts: 2, backend: { Type: backend } });
    let whole = '';

    const state = async (): Promise<string> => {
      const { namespace } = cluster().lab.host(1);
      const plan = await namespace.run(['ip', '-4', 'route', 'show', 'proto', '84']);
      if (backend === 'host-gw') return plan;
      const commands = [
        'ip -o link show flannel.1',
        'ip -4 -o addr show flannel.1',
        'ip -4 neigh show nud permanent',
      ];
      const texts = await Promise.all(
        [...commands, 'bridge fdb show dev flannel.1'].map(async (command) => {
          return (await namespace.exec(command.split(' '))).stdout;
        }),
      );
      // Numbers of devices are the kernel's, and it flushes routes of what is down.
      return [plan, ...texts].join('').replaceAll(/^\d+: /gm, '');
    };

    beforeAll(async () => {
      whole = await state();
    });

    it.each(FAULTS.filter((fault) => fault.backend === backend))('$what', async ({ commands }) => {
      const { lab } = cluster();
      const [from, to] = [lab.host(1).containers[0], lab.host(2).containers[0]];
      if (from === undefined || to === undefined) throw new Error('no containers');
      const { namespace } = lab.host(1);
      const subnet = (await lab.host(2).subnetEnv())?.subnet.replace('.1/', '.0/') ?? '';
      const neighbour = (await namespace.exec(['ip', 'neigh', 'show', subnet.replace('/24', '')])).stdout;
      const mac = /lladdr (\S+)/.exec(neighbour)?.[1] ?? '';
      for (const command of commands) {
        await namespace.run(command.replace('SUBNET', subnet).replace('MAC', mac).split(' '));
      }
      await waitFor('everything is as it was', HEAL_LIMIT_MS, async () => (await state()) === whole);
      await waitFor('packets flow', HEAL_LIMIT_MS, async () => {
        const ping = ['ping', '-n', '-c', '1', '-W', '0.2', to.address];
        return (await from.namespace.exec(ping)).exitCode === 0;
      });
      expect(await state()).toBe(whole);
    });
  },
);

describe.skipIf(NEEDS_CLUSTER.missing).each([
  {
    firewall: 'iptables',
    nft: false,
    flush: ['iptables', '-t', 'nat', '-F'],
    list: ['iptables-save', '-t', 'nat'],
  },
  {
    firewall: 'nftables',
    nft: true,
    flush: ['nft', 'flush', 'ruleset'],
    list: ['nft', 'list', 'table', 'ip', 'flannel-ipv4'],
  },
])(title('rules of $firewall', NEEDS_CLUSTER), ({ nft, flush, list }) => {
  const cluster = useCluster({
    hosts: 2,
    backend: { Type: 'host-gw' },
    containers: false,
    network: { EnableNFTables: nft },
    // So rarely that only a watch can bring them back in time.
    flags: ['--ip-masq', '--iptables-resync=600'],
  });

  it('are back when they were flushed', async () => {
    const { namespace } = cluster().lab.host(1);
    const state = async (): Promise<string> => {
      return (await namespace.exec(list)).stdout.replaceAll(/^#.*\n|\[\d+:\d+\]/gm, '');
    };
    const whole = await state();
    expect(whole).toContain('10.5.0.0/16');
    await namespace.run(flush);
    await waitFor('the rules are back', HEAL_LIMIT_MS, async () => (await state()) === whole);
  });
});
