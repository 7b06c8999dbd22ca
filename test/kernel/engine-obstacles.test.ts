// Obstacles among the rules of container engines and firewalls, as the real nft and both variants of iptables list
// them.
import { describe, expect, it } from 'vitest';
import { type Exec, exec } from '../../agent/base/exec.ts';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { findObstacles, type Obstacle } from '../../agent/firewall/obstacles/obstacles.ts';
import { openFirewall } from '../../agent/firewall/open-firewall.ts';
import { rulesetReader } from '../../agent/kernel/netlink/ruleset.ts';
import { readTableSizes } from '../../agent/kernel/old-iptables.ts';
import type { Traffic } from '../../agent/model/firewall.ts';
import { captureLog } from '../support/capture-log.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import {
  DOCKER_27,
  DOCKER_28,
  DOCKER_MASQUERADE,
  docker29,
  type IptablesRules,
  NETAVARK_IPTABLES,
  NETAVARK_NFT,
  UFW,
} from './engine-rules.ts';
import { RULES } from './firewall-suite.ts';
import { type Netns, ownNetns } from './netns.ts';

const need = allOf(needsNetns('iptables-nft', 'iptables-legacy', 'nft'), NEEDS_PRIVATE_NETNS);

const SUBNET = { family: 'ipv4', address: '10.5.34.0', length: 24 } as const;

const trafficBy = (bridge: string): Traffic => ({
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: SUBNET,
  peerLinks: ['flannel.1'],
  underlay: 'eth0',
  bridges: [{ name: bridge, network: SUBNET }],
});

/** Makes all rules that an agent makes here. */
async function protect(enableNFTables = false, dockerDirect = true): Promise<void> {
  const { log } = captureLog('firewall');
  const options = { enableNFTables, log, exec, reader: rulesetReader, readSizes: readTableSizes };
  const { active } = await openFirewall(options);
  await active.ensure(dockerDirect ? RULES : { ...RULES, direct: [] });
}

async function apply(ns: Netns, rules: IptablesRules | string, program = 'iptables-nft'): Promise<void> {
  if (typeof rules === 'string') await ns.exec('nft', rules);
  else for (const rule of rules) await ns.exec(program, ...wordsOf(rule));
}

const wordsOf = (line: string): readonly string[] =>
  (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''));

async function find(ns: Netns, bridge: string): Promise<readonly Obstacle[]> {
  const sizes = await readTableSizes();
  const old = sizes && { program: 'iptables-legacy-save', sizes };
  const { obstacles } = await findObstacles({ exec: ns.run, reader: rulesetReader, old }, trafficBy(bridge));
  return obstacles;
}

const linesOf = (obstacles: readonly Obstacle[]): readonly string[] =>
  obstacles.map(({ isFault, message }) => `${isFault ? 'fault' : 'warning'}: ${message}`);

const DIRECT =
  'fault: chain PREROUTING of nftables table ip raw drops packets from other nodes to 10.5.34.2 and another address by the rule "iifname != docker0 ip daddr 10.5.34.2 drop"; run the agent with --docker-direct=auto, or dockerd with --allow-direct-routing';
const DOCKERS_REMEDY = 'accept 10.5.0.0/16 there (with Docker, in its chain DOCKER-USER)';
const MASQUERADED =
  'warning: chain POSTROUTING of nftables table ip nat gives packets from docker0 to other nodes another source address by the rule "oifname != docker0 ip saddr 10.5.34.0/24 MASQUERADE"; exempt 10.5.0.0/16 there (Docker: --ip-masq=false)';
describe.skipIf(need.missing)(title('findObstacles beside engines', need), () => {
  it.each([
    ['Docker 27', 'docker0', [DOCKER_27]],
    ['Docker 28', 'docker0', [DOCKER_28]],
    ['Docker that masquerades', 'docker0', [DOCKER_27, DOCKER_MASQUERADE]],
    ['Docker 29 with its nftables', 'docker0', [docker29({ isDirect: true, mark: '0x01000000' })]],
    ['ufw', 'docker0', [UFW]],
    ['netavark with iptables', 'podman1', [NETAVARK_IPTABLES]],
    ['netavark with nftables', 'podman1', [NETAVARK_NFT]],
  ])('findObstacles finds none where an agent has its rules: %s', async (_, bridge, sets) => {
    await using ns = ownNetns();
    for (const rules of sets) await apply(ns, rules);
    await protect();
    expect(linesOf(await find(ns, bridge))).toEqual([]);
  });

  it('findObstacles names the drops of direct access of Docker 28, and of one container alone', async () => {
    await using ns = ownNetns();
    await apply(ns, DOCKER_28);
    await protect(false, false);
    expect(linesOf(await find(ns, 'docker0'))).toEqual([DIRECT]);
    await ns.exec('iptables-nft', '-t', 'raw', '-D', 'PREROUTING', '2');
    expect(linesOf(await find(ns, 'docker0'))).toEqual([DIRECT.replace(' and another address', '')]);
    await apply(ns, ['-t raw -I PREROUTING -d 10.5.34.2/32 -i flannel.1 -j ACCEPT']);
    expect(linesOf(await find(ns, 'docker0'))).toEqual([]);
  });

  it.each([
    ['Docker 27', DOCKER_27, 'by its policy'],
    [
      'Docker 28',
      DOCKER_28.slice(0, -2),
      'by the rule "iifname != docker0 oifname docker0 drop" of chain DOCKER',
    ],
  ])(
    'findObstacles names the filter of %s where our rules are those of nftables',
    async (_, rules, place) => {
      await using ns = ownNetns();
      await apply(ns, rules);
      await protect(true);
      const drop = `fault: chain FORWARD of nftables table ip filter drops packets from other nodes to docker0 ${place}; ${DOCKERS_REMEDY}`;
      expect(linesOf(await find(ns, 'docker0'))).toEqual([drop]);
      await apply(ns, ['-I DOCKER-USER -s 10.5.0.0/16 -j ACCEPT', '-I DOCKER-USER -d 10.5.0.0/16 -j ACCEPT']);
      expect(linesOf(await find(ns, 'docker0'))).toEqual([]);
    },
  );

  it('findObstacles names a masquerade of the source', async () => {
    await using ns = ownNetns();
    await apply(ns, [...DOCKER_27, ...DOCKER_MASQUERADE]);
    await createIptablesFirewall({ exec }).ensure(RULES);
    const there = 'exempt 10.5.0.0/16 there (Docker: --ip-masq=false)';
    expect(linesOf(await find(ns, 'docker0'))).toEqual([MASQUERADED]);
    await ns.exec('nft', 'flush ruleset');
    await apply(ns, NETAVARK_NFT);
    expect(linesOf(await find(ns, 'podman1'))).toEqual([
      `warning: chain POSTROUTING of nftables table inet netavark gives packets from podman1 to other nodes another source address by the rule "ip daddr != 224.0.0.0/4 masquerade" of chain nv_2f259bab_10_5_34_0_nm24; ${there}`,
    ]);
  });

  it('findObstacles follows the maps of Docker 29, and the mark that it asks for', async () => {
    await using ns = ownNetns();
    const remedy = 'start dockerd with --allow-direct-routing --bridge-accept-fwmark=0x1000000/0x1000000';
    const lines = async (): Promise<readonly string[]> => linesOf(await find(ns, 'docker0'));
    const unpublished = `fault: chain filter-FORWARD of nftables table ip docker-bridges drops packets from other nodes to docker0 by the rule "drop comment UNPUBLISHED PORT DROP" of chain filter-forward-in__docker0; ${remedy}`;
    await apply(ns, docker29({ isDirect: false }));
    await protect();
    expect(await lines()).toEqual([
      `fault: chain raw-PREROUTING of nftables table ip docker-bridges drops packets from other nodes to 10.5.34.2 by the rule "ip daddr 10.5.34.2 iifname != docker0 drop comment DROP DIRECT ACCESS"; ${remedy}`,
      unpublished,
    ]);
    await ns.exec('nft', 'delete table ip docker-bridges');
    await apply(ns, docker29({ isDirect: true, mark: '0x01000000' }));
    expect(await lines()).toEqual([]);
    await ns.exec('nft', 'delete chain ip twill-containers twill-mark');
    expect(await lines()).toEqual([expect.stringMatching(/^warning: .* may drop packets from other nodes/)]);
  });

  it('findObstacles reads the rules of Docker in few runs of programs', async () => {
    await using ns = ownNetns();
    await apply(ns, [...DOCKER_28, ...DOCKER_MASQUERADE]);
    await createIptablesFirewall({ exec }).ensure(RULES);
    const calls: string[] = [];
    const counting: Exec = (file, args, options) => {
      calls.push([file, ...args].join(' '));
      return exec(file, args, options);
    };
    const tables = ['filter', 'nat', 'raw'].map((name) => `nft -j list table ip ${name}`);
    await findObstacles({ exec: counting, reader: rulesetReader }, trafficBy('docker0'));
    expect(calls.toSorted()).toEqual(tables);
    calls.length = 0;
    // Without our accepts the walk comes to chains with extensions.
    await ns.exec('iptables-nft', '-D', 'FORWARD', '1');
    await findObstacles({ exec: counting, reader: rulesetReader }, trafficBy('docker0'));
    expect(calls.toSorted()).toEqual(['iptables-nft -t filter -S', ...tables]);
  });

  it('findObstacles sees the rules of the old iptables', async () => {
    await using ns = ownNetns();
    const clean = ['filter', 'nat', 'raw'].flatMap((table) => [`-t ${table} -F`, `-t ${table} -X`]);
    try {
      await apply(ns, [...DOCKER_28, ...DOCKER_MASQUERADE], 'iptables-legacy');
      await createNftablesFirewall({ exec }).ensure(RULES);
      expect(linesOf(await find(ns, 'docker0'))).toEqual([
        'fault: chain PREROUTING of the old iptables table raw drops packets from other nodes to 10.5.34.2 and another address by the rule "-d 10.5.34.2/32 ! -i docker0 -j DROP"; run the agent with --docker-direct=auto, or dockerd with --allow-direct-routing',
        `fault: chain FORWARD of the old iptables table filter drops packets from other nodes to docker0 by the rule "! -i docker0 -o docker0 -j DROP" of chain DOCKER; ${DOCKERS_REMEDY}`,
        MASQUERADED.replace('nftables table ip nat', 'the old iptables table nat').replace(
          'oifname != docker0 ip saddr 10.5.34.0/24 MASQUERADE',
          '-s 10.5.34.0/24 ! -o docker0 -j MASQUERADE',
        ),
      ]);
      await protect(true);
      await apply(ns, ['-I DOCKER-USER -d 10.5.34.0/24 -j ACCEPT'], 'iptables-legacy');
      expect(linesOf(await find(ns, 'docker0'))).toEqual([]);
    } finally {
      await apply(ns, ['-P FORWARD ACCEPT', ...clean], 'iptables-legacy');
    }
  });
});
