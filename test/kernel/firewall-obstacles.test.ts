// Foreign chains that drop packets that we accept, as the real nft lists them.
import { describe, expect, it } from 'vitest';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { findObstacles, type Obstacle } from '../../agent/firewall/obstacles/obstacles.ts';
import { rulesetReader } from '../../agent/kernel/netlink/ruleset.ts';
import type { Traffic } from '../../agent/model/firewall.ts';
import type { LocalBridge } from '../../agent/model/host-checks.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { RULES } from './firewall-suite.ts';
import { type Netns, ownNetns } from './netns.ts';

const TRAFFIC: Traffic = {
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  peerLinks: ['flannel.1'],
  underlay: 'eth0',
  bridges: [],
};
const DOCKER0 = { name: 'docker0', network: TRAFFIC.subnet };

const need = allOf(needsNetns('iptables', 'iptables-save', 'iptables-restore', 'nft'), NEEDS_PRIVATE_NETNS);

const obstaclesIn = async (ns: Netns, bridges: readonly LocalBridge[] = []): Promise<readonly Obstacle[]> =>
  (await findObstacles({ exec: ns.run, reader: rulesetReader }, { ...TRAFFIC, bridges })).obstacles;

const verdictOf = ({ isFault, message }: Obstacle): string =>
  isFault ? 'drops' : message.includes(' may drop ') ? 'may drop' : 'warns';

const verdictsIn = async (ns: Netns, bridges: readonly LocalBridge[] = []): Promise<readonly string[]> =>
  (await obstaclesIn(ns, bridges)).map(verdictOf);

/** A foreign table whose chain for forwarded packets has these rules. `head` is inserted before the chain. */
const table = (policy: string, rules: readonly string[], head = ''): string =>
  `table inet theirs {
     ${head}
     chain forwarded {
       type filter hook forward priority 10; policy ${policy};
       ${rules.join('\n')}
     }
   }`;

const REJECT = 'counter reject with icmpx type admin-prohibited';
const SUB = 'chain sub { ip saddr 10.5.0.0/16 accept; }';

/** The chains for forwarded packets of firewalld with its nftables backend. */
const firewalld = (zones: string): string => `table inet firewalld {
  chain policies_pre { }
  chain policies_post { }
  chain public_allow { }
  chain FWD_public {
    jump policies_pre
    jump public_allow
    jump policies_post
    reject with icmpx type admin-prohibited
  }
  chain FWD_trusted {
    jump policies_pre
    jump policies_post
    accept
  }
  chain zones {
    ${zones}
    goto FWD_public
  }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 type addr-unreachable
    jump zones
    reject with icmpx type admin-prohibited
  }
}`;

describe.skipIf(need.missing)(title('findObstacles', need), () => {
  it.each([
    ['a policy of drop without rules', table('drop', [])],
    ['only established connections accepted', table('drop', ['ct state established,related accept'])],
    ['the same in a map', table('drop', ['ct state vmap { established : accept, invalid : drop }'])],
    ['a drop at the end', table('accept', ['ct state established accept', 'counter drop'])],
    ['a reject at the end', table('accept', ['iifname lo accept', 'log prefix "x" ', REJECT])],
    ['another network accepted', table('drop', ['ip saddr 10.6.0.0/16 accept', 'ip6 daddr ::1 accept'])],
    ['other networks accepted', table('drop', ['ip daddr { 10.6.0.0/16, 192.0.2.0-192.0.2.9 } accept'])],
    ['all but new connections accepted', table('drop', ['ct state != new accept'])],
    ['our network dropped', table('accept', ['ip saddr 10.0.0.0/8 drop', 'accept'])],
    ['a called chain that drops', table('accept', ['jump sub'], 'chain sub { meta nfproto ipv4 drop; }')],
    ['a called chain that returns', table('drop', ['jump sub'], 'chain sub { return; }')],
    ['a goto to a chain that ends', table('drop', ['goto sub', 'accept'], 'chain sub { counter; }')],
    ['packets from another link accepted', table('drop', ['iifname "eth0" accept'])],
    ['the same in a map', table('drop', ['iifname vmap { "eth0" : accept, "eth1" : drop }'])],
    ['packets to another link accepted', table('drop', ['oifname "eth0" accept'])],
    ['firewalld in its default zone', firewalld('')],
    ['firewalld that trusts our link but no bridge', firewalld('iifname "flannel.1" goto FWD_trusted')],
    ['firewalld that trusts others', firewalld('ip saddr 10.6.0.0/16 goto FWD_trusted')],
  ])('findObstacles is certain of a drop: %s', async (_, rules) => {
    await using ns = ownNetns();
    await createNftablesFirewall({ exec: ns.run }).ensure(RULES);
    await ns.exec('nft', rules);
    expect(await verdictsIn(ns)).toEqual(['drops']);
  });

  it.each([
    ['a mark accepted', table('accept', ['meta mark 7 accept', 'drop'])],
    ['a jump for some packets', table('drop', ['tcp dport 80 jump sub'], 'chain sub { accept; }')],
    ['a return for some packets', table('accept', ['meta mark 7 return', 'drop'])],
    ['a set of addresses', table('drop', ['ip saddr @ok accept'], 'set ok { type ipv4_addr; }')],
    ['a rate limit', table('drop', ['limit rate 1/second accept'])],
  ])('findObstacles is uncertain: %s', async (_, rules) => {
    await using ns = ownNetns();
    await ns.exec('nft', rules);
    expect(await verdictsIn(ns)).toEqual(['may drop']);
  });

  it.each([
    ['a policy of accept and drops for some', table('accept', ['iifname "eth0" drop', 'tcp dport 25 drop'])],
    ['our network accepted', table('drop', ['ip saddr 10.5.0.0/16 accept'])],
    ['a range around it accepted', table('drop', ['ip daddr 10.0.0.0-10.127.255.255 accept'])],
    [
      'a part of it accepted',
      table('drop', ['ip saddr 10.5.34.0/24 accept', 'ip daddr 10.5.34.0/24 accept']),
    ],
    ['accepted by a called chain', table('drop', ['jump sub'], SUB)],
    ['new connections accepted', table('drop', ['ct state { established, new } accept'])],
    ['only IPv6 dropped', table('accept', ['meta nfproto ipv6 drop', 'ip6 saddr ::/0 drop'])],
    ['only the invalid dropped', table('accept', ['ct state invalid drop'])],
    ['another hook', 'table ip x { chain c { type filter hook input priority 0; policy drop; }; }'],
    ['another family', 'table ip6 x { chain c { type filter hook forward priority 0; policy drop; }; }'],
    ['firewalld that trusts our network', firewalld('ip saddr 10.5.0.0/16 goto FWD_trusted')],
  ])('findObstacles finds no obstacle: %s', async (_, rules) => {
    await using ns = ownNetns();
    await ns.exec('nft', rules);
    expect(await verdictsIn(ns)).toEqual([]);
  });

  it.each([
    ['by its name', table('drop', ['iifname "flannel.1" accept', 'oifname "flannel.1" accept'])],
    ['by a wildcard', table('drop', ['iifname "flannel*" accept', 'oifname "flannel*" accept'])],
    ['in a map', table('drop', ['iifname vmap { "flannel.1" : accept }', 'oifname "flannel.1" accept'])],
  ])(
    'findObstacles warns of the way to the outside where our link alone is accepted: %s',
    async (_, rules) => {
      await using ns = ownNetns();
      await ns.exec('nft', rules);
      expect(await obstaclesIn(ns)).toEqual([
        {
          isFault: false,
          message:
            'chain forwarded of nftables table inet theirs drops packets from containers to the outside by its policy; accept packets from 10.5.34.0/24 there',
        },
      ]);
    },
  );

  it.each([
    ['a drop of all that no bridge of its own sends', 'oifname "docker0" iifname != "docker0" drop', 'drops'],
    ['a drop of what leaves by another link', 'iifname "docker0" oifname != "docker0" drop', 'drops'],
    ['a drop between it and another bridge', 'iifname "docker0" oifname "br1" drop', undefined],
    ['an accept of what it sends, and a drop of all', 'iifname "docker0" accept; drop', 'drops'],
    ['an accept of both of its ways', 'iifname "docker0" accept; oifname "docker0" accept; drop', undefined],
    ['a drop at another bridge', 'oifname "br1" iifname != "br1" drop', undefined],
  ])('findObstacles is certain about links where the bridge is known: %s', async (_, rules, expected) => {
    await using ns = ownNetns();
    await ns.exec('nft', table('accept', rules.split('; ')));
    expect(await verdictsIn(ns, [DOCKER0])).toEqual(expected === undefined ? [] : [expected]);
  });

  it('findObstacles warns of a drop at one of two bridges, and fails at a drop at both', async () => {
    await using ns = ownNetns();
    const dropAt = (bridge: string): string => `iifname != "${bridge}" oifname "${bridge}" drop`;
    const bridges = [
      { name: 'docker0', network: { ...TRAFFIC.subnet, length: 25 } },
      { name: 'twill0', network: { family: 'ipv4', address: '10.5.34.128', length: 25 } },
    ] as const;
    await ns.exec('nft', table('accept', [dropAt('twill0')]));
    expect(await verdictsIn(ns, bridges)).toEqual(['warns']);
    await ns.exec('nft', table('accept', [dropAt('docker0')]));
    expect(await verdictsIn(ns, bridges)).toEqual(['drops', 'drops']);
  });

  it('findObstacles names table and chain, and finds no obstacle after the table is deleted', async () => {
    await using ns = ownNetns();
    await ns.exec('nft', table('drop', []));
    expect(await obstaclesIn(ns)).toEqual([
      {
        isFault: true,
        message:
          'chain forwarded of nftables table inet theirs drops packets forwarded within 10.5.0.0/16 by its policy; accept 10.5.0.0/16 there',
      },
    ]);
    await ns.exec('nft', 'delete', 'table', 'inet', 'theirs');
    expect(await verdictsIn(ns)).toEqual([]);
  });

  it('findObstacles passes over a dormant table', async () => {
    await using ns = ownNetns();
    await ns.exec('nft', table('drop', []));
    expect(await verdictsIn(ns)).toEqual(['drops']);
    await ns.exec('nft', 'add table inet theirs { flags dormant; }');
    expect(await verdictsIn(ns)).toEqual([]);
  });

  it('findObstacles counts the FORWARD of iptables only without our rules in it', async () => {
    await using ns = ownNetns();
    await ns.exec('iptables-nft', '-P', 'FORWARD', 'DROP');
    await ns.exec('iptables-nft', '-A', 'FORWARD', '-j', 'REJECT');
    expect(await verdictsIn(ns)).toEqual(['drops']);
    await createIptablesFirewall({ exec: ns.run, program: 'iptables-nft' }).ensure(RULES);
    expect(await verdictsIn(ns)).toEqual([]);
  });
});
