// The source addresses of containers, beside the masquerades of Docker and of netavark.
//
//     web 10.5.1.2 ── host 192.168.77.1 ── 192.168.77.2 peer, with a container's 10.5.2.2 and 203.0.113.1 of outside
//     job 10.5.1.130 ──┘
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../agent/base/exec.ts';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { createContainersTable } from '../../agent/firewall/nftables.ts';
import { planFirewall } from '../../agent/firewall/rules.ts';
import type { FirewallPart } from '../../agent/model/firewall.ts';
import { needsNetns, title } from '../support/needs.ts';
import { optionsOf } from './firewall-suite.ts';
import { createNetns, type Netns } from './netns.ts';

const RULES = planFirewall({
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.1.0', length: 24 },
  ipMasq: false,
  forwardRules: false,
  randomFully: false,
  dockerDirect: true,
  links: [],
  bridges: [],
});

const [WEB, JOB, HOST] = ['10.5.1.2', '10.5.1.130', '192.168.77.1'];
const [CONTAINER, OUTSIDE] = ['10.5.2.2', '203.0.113.1'];
const KUBE_PROXY = '0x4000';
const NETAVARK = '0x2000';

const byNft = (exec: Exec): FirewallPart => createContainersTable(optionsOf(exec));
const byIptables =
  (program: string) =>
  (exec: Exec): FirewallPart =>
    createIptablesFirewall({ exec, program, keepsSource: true });

/** Masquerades of other programs. Docker has two like these, for packets that leave, and for a container's own port. */
const dockerBy = (program: string): readonly string[] => [
  `${program} -t nat -A POSTROUTING -s 10.5.1.0/24 ! -o to-web -j MASQUERADE`,
  `${program} -t nat -A POSTROUTING -s 10.5.1.0/24 -d 10.5.1.0/24 -j MASQUERADE`,
];
const NETAVARK_TABLE = [
  'nft add table inet netavark',
  'nft add chain inet netavark c { type nat hook postrouting priority 100; }',
  'nft add rule inet netavark c ip saddr 10.5.1.0/24 masquerade',
];

const CASES = [
  { masquerade: 'of iptables-nft', theirs: dockerBy('iptables-nft'), means: 'nft', create: byNft },
  { masquerade: 'of iptables-legacy', theirs: dockerBy('iptables-legacy'), means: 'nft', create: byNft },
  { masquerade: 'of a table of its own', theirs: NETAVARK_TABLE, means: 'nft', create: byNft },
  ...['iptables-nft', 'iptables-legacy'].map((program) => ({
    masquerade: `of ${program}`,
    theirs: dockerBy(program),
    means: program,
    create: byIptables(program),
  })),
];

const need = needsNetns('nft', 'iptables-nft', 'iptables-legacy', 'ping');
describe.skipIf(need.missing)(title('the source address of a container', need), () => {
  it.each(CASES.flatMap((each) => ['host-gw', 'vxlan'].map((way) => ({ ...each, way }))))(
    'a masquerade $masquerade is overruled within the network alone: $means, $way',
    async (row) => {
      await using host = await createNetns('host');
      await using peer = await createNetns('peer');
      await using web = await createNetns('web');
      await using job = await createNetns('job');
      const bed: Bed = { host, peer, web, job };
      await wire(bed, row.way);
      for (const line of row.theirs) await run(host, line);
      expect(await sourceSeen(bed, CONTAINER)).not.toBe(WEB);
      const part = row.create(host.run);
      expect(await part.ensure(RULES)).toBe('repaired');
      expect(await part.ensure(RULES)).toBe('present');
      expect(await sourceSeen(bed, CONTAINER)).toBe(WEB);
      expect(await sourceSeen(bed, OUTSIDE)).toBe(HOST);
      expect(await sourceSeen(bed, JOB)).toBe('10.5.1.129');
      for (const mark of [KUBE_PROXY, NETAVARK]) {
        await run(host, `nft add table ip marks`);
        await run(host, `nft add chain ip marks c { type filter hook prerouting priority mangle; }`);
        await run(host, `nft add rule ip marks c ip saddr ${WEB} meta mark set ${mark}`);
        expect(await sourceSeen(bed, CONTAINER), mark).not.toBe(WEB);
        await run(host, `nft delete table ip marks`);
      }
      expect(await part.remove()).toBe(true);
      expect(await sourceSeen(bed, CONTAINER)).not.toBe(WEB);
      expect(await part.remove()).toBe(false);
    },
  );
});

interface Bed {
  readonly host: Netns;
  readonly peer: Netns;
  readonly web: Netns;
  readonly job: Netns;
}

const SEEN = ['nft', 'list', 'set', 'ip', 'witness', 'seen'] as const;

/** The source address of a ping from `web`, as its receiver sees it. */
async function sourceSeen({ web, peer, job }: Bed, address: string | undefined): Promise<string | undefined> {
  const others = [peer, job];
  for (const other of others) await run(other, 'nft flush set ip witness seen');
  await web.exec('ping', '-c', '1', '-W', '2', address ?? '');
  const seen = await Promise.all(others.map((other) => other.exec(...SEEN)));
  return /elements = \{ (\S+) \}/.exec(seen.join())?.[1];
}

async function wire({ host, peer, web, job }: Bed, way: string): Promise<void> {
  await join(host, 'eth0', `${HOST}/24`, peer, 'eth0', '192.168.77.2/24');
  await join(host, 'to-web', '10.5.1.1/25', web, 'eth0', `${WEB}/25`);
  await join(host, 'to-job', '10.5.1.129/25', job, 'eth0', `${JOB}/25`);
  await run(web, 'ip route add default via 10.5.1.1');
  await run(job, 'ip route add default via 10.5.1.129');
  await run(host, 'sysctl -q -w net.ipv4.ip_forward=1');
  for (const address of [CONTAINER, OUTSIDE]) await run(peer, `ip addr add ${address}/32 dev lo`);
  await run(host, `ip route add ${OUTSIDE} via 192.168.77.2`);
  if (way === 'vxlan') await addTunnel(host, peer);
  else {
    await run(host, 'ip route add 10.5.2.0/24 via 192.168.77.2');
    await run(peer, `ip route add 10.5.1.0/24 via ${HOST}`);
  }
  for (const other of [peer, job]) {
    await run(other, 'nft add table ip witness');
    await run(other, 'nft add set ip witness seen { type ipv4_addr; flags dynamic; }');
    await run(other, 'nft add chain ip witness c { type filter hook input priority 0; }');
    await run(other, 'nft add rule ip witness c icmp type echo-request add @seen { ip saddr }');
  }
}

async function join(
  a: Netns,
  link: string,
  address: string,
  b: Netns,
  end: string,
  other: string,
): Promise<void> {
  await run(a, `ip link add ${link} type veth peer name ${end} netns ${b.name}`);
  for (const [ns, name, prefix] of [
    [a, link, address],
    [b, end, other],
  ] as const) {
    await run(ns, `ip addr add ${prefix} dev ${name}`);
    await run(ns, `ip link set ${name} up`);
  }
}

async function addTunnel(host: Netns, peer: Netns): Promise<void> {
  for (const [ns, own, other, subnet, theirs] of [
    [host, HOST, '192.168.77.2', '10.5.1.0', '10.5.2.0'],
    [peer, '192.168.77.2', HOST, '10.5.2.0', '10.5.1.0'],
  ] as const) {
    await run(ns, `ip link add flannel.1 type vxlan id 1 local ${own} remote ${other} dstport 8472`);
    await run(ns, `ip addr add ${subnet}/32 dev flannel.1`);
    await run(ns, 'ip link set flannel.1 up');
    await run(ns, `ip route add ${theirs}/24 via ${theirs} dev flannel.1 onlink`);
  }
}

async function run(ns: Netns, line: string): Promise<void> {
  const [file = '', ...args] = line.split(' ');
  await ns.exec(file, ...args);
}
