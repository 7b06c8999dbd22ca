// Two networks of one host, both of our subnet, stay as apart as Docker makes them.
//
//     web 10.5.1.2 ── br-a ── host ── br-b ── 10.5.1.130 job
//                              └── eth0 ── 10.5.2.2 peer
import { describe, expect, it } from 'vitest';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { planFirewall } from '../../agent/firewall/rules.ts';
import type { FirewallRules } from '../../agent/model/firewall.ts';
import { needsNetns, title } from '../support/needs.ts';
import { createNetns, type Netns } from './netns.ts';

const prefix = (address: string, length: number) => ({ family: 'ipv4', address, length }) as const;
const BRIDGES = [
  { name: 'br-a', network: prefix('10.5.1.0', 25) },
  { name: 'br-b', network: prefix('10.5.1.128', 25) },
];
const rulesFor = (bridges: typeof BRIDGES): FirewallRules =>
  planFirewall({
    network: prefix('10.5.0.0', 16),
    subnet: prefix('10.5.1.0', 24),
    ipMasq: false,
    forwardRules: true,
    randomFully: false,
    dockerDirect: true,
    links: ['eth0'],
    bridges,
  });
const ONE = rulesFor(BRIDGES.slice(0, 1));
const TWO = rulesFor(BRIDGES);

const FORWARD_ONE = `-P FORWARD DROP
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FORWARD -j ISOLATION
`;
const FORWARD_TWO = FORWARD_ONE.replace('flanneld forward', 'twill forward').replace(
  'FLANNEL-FWD',
  'TWILL-FORWARD',
);
const FLANNEL = `-N FLANNEL-FWD
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
`;
const OWN = `-N TWILL-FORWARD
-A TWILL-FORWARD -s 10.5.1.0/24 -d 10.5.1.0/24 -i br-a ! -o br-a -m comment --comment "twill local" -j RETURN
-A TWILL-FORWARD -s 10.5.1.0/24 -d 10.5.1.0/24 -i br-b ! -o br-b -m comment --comment "twill local" -j RETURN
-A TWILL-FORWARD -j FLANNEL-FWD
`;

const need = needsNetns('nft', 'iptables-nft', 'iptables-legacy', 'ping');
describe.skipIf(need.missing)(title('two networks of one host', need), () => {
  it.each(['iptables-nft', 'iptables-legacy'])(
    'two networks stay apart beside the rules of %s',
    async (program) => {
      await using host = await createNetns('host');
      await using web = await createNetns('web');
      await using job = await createNetns('job');
      await using peer = await createNetns('peer');
      await wire(host, web, job, peer);
      for (const rule of ['-P FORWARD DROP', '-N ISOLATION', '-A FORWARD -j ISOLATION'])
        await run(host, `${program} ${rule}`);
      for (const [a, b] of [
        ['br-a', 'br-b'],
        ['br-b', 'br-a'],
      ])
        await run(host, `${program} -A ISOLATION -i ${a} -o ${b} -j DROP`);
      const reaches = async (from: Netns, address: string): Promise<boolean> =>
        (await from.run('ping', ['-c', '1', '-W', '1', address])).exitCode === 0;
      const list = (chain: string): Promise<string> => host.exec(program, '-S', chain);
      const firewall = createIptablesFirewall({ exec: host.run, program });

      expect(await firewall.ensure(ONE)).toBe('repaired');
      expect(await list('FORWARD')).toBe(FORWARD_ONE);
      expect(await list('FLANNEL-FWD')).toBe(FLANNEL);
      // That is flannel's way, and the reason for the other one.
      expect(await reaches(web, '10.5.1.130')).toBe(true);

      expect(await firewall.ensure(TWO)).toBe('repaired');
      expect(await firewall.ensure(TWO)).toBe('present');
      expect(await list('FORWARD')).toBe(FORWARD_TWO);
      expect(await list('FLANNEL-FWD')).toBe(FLANNEL);
      expect(await list('TWILL-FORWARD')).toBe(OWN);
      expect(await reaches(web, '10.5.1.130')).toBe(false);
      expect(await reaches(job, '10.5.1.2')).toBe(false);
      for (const [from, to] of [
        [web, '10.5.2.2'],
        [job, '10.5.2.2'],
        [peer, '10.5.1.2'],
        [peer, '10.5.1.130'],
      ] as const)
        expect(await reaches(from, to)).toBe(true);

      // An agent of flannel that takes over adds its own jump, behind Docker's rules.
      await host.exec(
        program,
        '-A',
        'FORWARD',
        '-m',
        'comment',
        '--comment',
        'flanneld forward',
        '-j',
        'FLANNEL-FWD',
      );
      expect(await reaches(web, '10.5.1.130')).toBe(false);
      expect(await firewall.ensure(TWO)).toBe('repaired');
      expect(await list('FORWARD')).toBe(FORWARD_TWO);
      await run(host, `${program} -F TWILL-FORWARD`);
      expect(await firewall.ensure(TWO)).toBe('repaired');
      expect(await list('TWILL-FORWARD')).toBe(OWN);

      expect(await firewall.ensure(ONE)).toBe('repaired');
      expect(await list('FORWARD')).toBe(FORWARD_ONE);
      expect((await host.run(program, ['-S', 'TWILL-FORWARD'])).exitCode).not.toBe(0);
      await firewall.ensure(TWO);
      expect(await firewall.remove()).toBe(true);
      expect(await host.exec(program, '-S')).not.toMatch(/FLANNEL|TWILL/);

      // An accept of nftables overrules nobody.
      await run(host, `${program} -P FORWARD ACCEPT`);
      await createNftablesFirewall({ exec: host.run }).ensure(ONE);
      expect(await reaches(web, '10.5.1.130')).toBe(false);
      expect(await reaches(web, '10.5.2.2')).toBe(true);
    },
  );
});

async function wire(host: Netns, web: Netns, job: Netns, peer: Netns): Promise<void> {
  for (const [link, address, end, own] of [
    ['br-a', '10.5.1.1/25', web, '10.5.1.2/25'],
    ['br-b', '10.5.1.129/25', job, '10.5.1.130/25'],
    ['eth0', '10.5.2.1/24', peer, '10.5.2.2/24'],
  ] as const) {
    await run(host, `ip link add ${link} type veth peer name eth0 netns ${end.name}`);
    await run(host, `ip addr add ${address} dev ${link}`);
    await run(host, `ip link set ${link} up`);
    await run(end, `ip addr add ${own} dev eth0`);
    await run(end, 'ip link set eth0 up');
    await run(end, `ip route add default via ${address.split('/')[0]}`);
  }
  await run(host, 'sysctl -q -w net.ipv4.ip_forward=1');
}

async function run(ns: Netns, line: string): Promise<void> {
  const [file = '', ...args] = line.split(' ');
  await ns.exec(file, ...args);
}
