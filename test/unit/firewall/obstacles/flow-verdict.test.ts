// What rules of iptables do to a flow, line by line. Rules of nftables have the same form behind their parser.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../agent/firewall/limits.ts';
import { flowsOf } from '../../../../agent/firewall/obstacles/flow.ts';
import { judgeFlow, type PlacedChain } from '../../../../agent/firewall/obstacles/flow-verdict.ts';
import type { ForeignRule } from '../../../../agent/firewall/obstacles/foreign-rule.ts';
import { parseIptablesRule } from '../../../../agent/firewall/obstacles/iptables-rule.ts';
import type { BaseChain } from '../../../../agent/model/ruleset.ts';

const [FROM_PEERS, TO_PEERS, TO_OUTSIDE] = flowsOf(
  {
    network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
    subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
    peerLinks: ['flannel.1'],
    underlay: 'eth0',
    bridges: [{ name: 'br0', network: { family: 'ipv4', address: '10.5.34.128', length: 25 } }],
  },
  LIMITS.followedBridges,
);
const FLOWS = { FROM_PEERS, TO_PEERS, TO_OUTSIDE };

/** A chain with these rules; a line `name: rule` is one of another chain of the table. */
function chainOf(lines: readonly string[], base: Partial<BaseChain> = {}): PlacedChain {
  const rules = lines.map((line) => /^(?:(\w+): )?(.*)$/.exec(line)?.slice(1) ?? []);
  const names = new Set(rules.map(([name = 'BASE']) => name));
  const chains = new Map<string, ForeignRule[]>(Array.from(names, (name) => [name, []]));
  for (const [name = 'BASE', rule = ''] of rules)
    chains.get(name)?.push(parseIptablesRule(`-A ${name} ${rule}`, (target) => names.has(target)));
  return {
    family: 'ip',
    table: 'theirs',
    name: 'BASE',
    hook: 'forward',
    type: 'filter',
    priority: 0,
    policy: 'accept',
    isActive: 'yes',
    ...base,
    where: 'here',
    readChain: async (chain) => chains.get(chain) ?? [],
  };
}

async function effectsOf(
  chains: readonly PlacedChain[],
  flow: keyof typeof FLOWS = 'FROM_PEERS',
): Promise<readonly string[]> {
  const given = FLOWS[flow];
  if (given === undefined) throw new Error('no flow');
  const findings = await judgeFlow(given, chains, { rules: LIMITS.evaluatedRules });
  return findings.map(({ effect, address }) => [effect, address].filter(Boolean).join(' '));
}

describe('judgeFlow', () => {
  it.each([
    ['a drop of all', ['-j DROP'], ['drops']],
    ['a drop in a called chain', ['-j sub', 'sub: -j DROP'], ['drops']],
    [
      'a drop behind a called chain that returns',
      ['-j sub', '-j DROP', 'sub: -m mark --mark 1 -j RETURN'],
      ['drops'],
    ],
    [
      'a drop behind a called chain that may return',
      ['-j sub', 'sub: -p tcp -j RETURN', 'sub: -j DROP'],
      ['may drop'],
    ],
    ['a goto whose chain ends', ['-g sub', '-j DROP', 'sub: -s 192.0.2.1/32 -j DROP'], []],
    ['an accept before a drop', ['-i flannel.1 -j ACCEPT', '-j DROP'], []],
    ['an accept by a wildcard', ['-i flannel+ -j ACCEPT', '-j DROP'], []],
    ['an accept of what comes by another link', ['-i eth0 -j ACCEPT', '-j DROP'], ['drops']],
    ['an accept of what may be', ['-m set --match-set x src -j ACCEPT', '-j DROP'], ['may drop']],
    ['an accept of a protocol', ['-p tcp -j ACCEPT', '-j DROP'], ['may drop']],
    ['an accept of a protocol of the network', ['-d 10.5.0.0/16 -p tcp -j ACCEPT', '-j DROP'], []],
    ['an accept of one peer', ['-s 10.5.7.0/24 -j ACCEPT', '-j DROP'], []],
    ['an accept of our subnet as the source', ['-s 10.5.34.0/24 -j ACCEPT', '-j DROP'], ['drops']],
    ['an accept of our subnet', ['-d 10.5.34.0/24 -j ACCEPT', '-j DROP'], []],
    ['an accept of another part of our subnet', ['-d 10.5.34.0/25 -j ACCEPT', '-j DROP'], ['drops']],
    ['an accept of one container', ['-d 10.5.34.200/32 -j ACCEPT', '-j DROP'], ['drops']],
    [
      'an accept of a port of one container',
      ['-d 10.5.34.200/32 -p tcp --dport 80 -j ACCEPT', '-j DROP'],
      ['drops'],
    ],
    [
      'an accept of a range with our subnet',
      ['-m iprange --dst-range 10.5.0.0-10.5.99.255 -j ACCEPT', '-j DROP'],
      [],
    ],
    [
      'an accept of known connections',
      ['-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', '-j DROP'],
      ['drops'],
    ],
    ['an accept of new connections', ['-m state --state NEW -j ACCEPT', '-j DROP'], []],
    ['an accept of translated connections', ['-m conntrack --ctstate DNAT -j ACCEPT', '-j DROP'], ['drops']],
    ['a drop of all that is not of the network', ['! -s 10.5.0.0/16 -j DROP'], []],
    ['a drop of all that does not go to others', ['! -d 192.0.2.0/24 -j DROP'], ['drops']],
    ['a queue', ['-j NFQUEUE --queue-num 0', '-j DROP'], ['may drop']],
    ['a mark that is not known', ['-m mark --mark 7 -j ACCEPT', '-j DROP'], ['may drop']],
    [
      'a mark of the connection',
      ['-j MARK --set-xmark 0x0/0xff', '-m connmark --mark 7/0xff -j ACCEPT', '-j DROP'],
      ['may drop'],
    ],
    [
      'a mark that was set',
      ['-j MARK --set-xmark 0x7/0xff', '-m mark --mark 0x7/0xf -j ACCEPT', '-j DROP'],
      [],
    ],
    [
      'another mark that was set',
      ['-j MARK --set-xmark 0x8/0xff', '-m mark --mark 0x7/0xf -j ACCEPT', '-j DROP'],
      ['drops'],
    ],
    [
      'a mark of more bits',
      ['-j MARK --set-xmark 0x7/0xf', '-m mark --mark 0x7 -j ACCEPT', '-j DROP'],
      ['may drop'],
    ],
    [
      'a mark that may be set',
      ['-p tcp -j MARK --set-xmark 0x7/0xf', '-m mark --mark 0x7/0xf -j ACCEPT', '-j DROP'],
      ['may drop'],
    ],
    [
      'a mark that is set back',
      [
        '-j MARK --set-xmark 0x7/0xf',
        '-j CONNMARK --restore-mark',
        '-m mark --mark 0x7/0xf -j ACCEPT',
        '-j DROP',
      ],
      ['may drop'],
    ],
    ['a comment like a target', ['-m comment --comment "x -j ACCEPT" -j DROP'], ['drops']],
    ['a log', ['-j LOG --log-prefix "-j ACCEPT "', '-j DROP'], ['drops']],
    ['a target that is not known', ['-j SYNPROXY --sack-perm', '-j DROP'], ['may drop']],
    ['a chain that calls itself', ['-j BASE', '-j DROP'], ['may drop']],
  ])('judgeFlow follows the rules for packets from other nodes: %s', async (_, rules, expected) => {
    expect(await effectsOf([chainOf(rules)])).toEqual(expected);
  });

  it.each([
    ['-d 10.5.34.200/32 ! -i br0 -j DROP', ['drops an address 10.5.34.200']],
    ['-d 10.5.34.200/32 -i eth0 -j DROP', []],
    ['-d 10.5.34.200/32 -j DROP', []],
    ['-d 10.5.34.2/32 ! -i br0 -j DROP', []],
    ['-d 10.5.34.200/32 ! -i br0 -p tcp --dport 80 -j DROP', []],
    ['-d 10.5.34.128/25 ! -i br0 -j DROP', ['drops']],
  ])('judgeFlow names an address that is closed to all but its bridge: %s', async (rule, expected) => {
    const raw = { hook: 'prerouting', priority: -300 } as const;
    expect(await effectsOf([chainOf([rule], raw)])).toEqual(expected);
    expect(await effectsOf([chainOf([rule], raw)], 'TO_PEERS')).toEqual([]);
    const spared = [`-d 10.5.34.200/32 -i flannel.1 -j ACCEPT`, '-s 10.5.0.0/16 -d 10.5.34.0/24 -j ACCEPT'];
    for (const accept of expected[0] === 'drops' ? spared.slice(1) : spared)
      expect(await effectsOf([chainOf([accept, rule], raw)])).toEqual([]);
  });

  it('judgeFlow takes no state of a connection before it is tracked, and no outgoing link before routing', async () => {
    const rules = ['-m conntrack --ctstate NEW -j DROP', '-o br0 -j DROP'];
    expect(await effectsOf([chainOf(rules, { hook: 'prerouting', priority: -300 })])).toEqual([]);
    expect(await effectsOf([chainOf(rules, { hook: 'prerouting', priority: -150 })])).toEqual(['drops']);
  });

  it.each(['-j CT --notrack', '-j NOTRACK'])(
    'judgeFlow knows no state of a connection behind %s',
    async (rule) => {
      const raw = chainOf([rule], { hook: 'prerouting', priority: -300 });
      const filter = chainOf(['-m conntrack --ctstate UNTRACKED -j ACCEPT', '-j DROP']);
      expect(await effectsOf([raw, filter])).toEqual(['may drop']);
      expect(await effectsOf([filter])).toEqual(['drops']);
    },
  );

  it('judgeFlow carries a mark from one chain to the next', async () => {
    const set = chainOf(['-j MARK --set-xmark 0x100/0x100'], { hook: 'prerouting', priority: -301 });
    const filter = chainOf(['-m mark --mark 0x100/0x100 -j ACCEPT', '-j DROP']);
    expect(await effectsOf([set, filter])).toEqual([]);
    expect(await effectsOf([filter])).toEqual(['may drop']);
  });

  const nat = (rules: readonly string[], priority = 100): PlacedChain =>
    chainOf(rules, { hook: 'postrouting', type: 'nat', priority });
  const MASQUERADE = '-s 10.5.34.0/24 ! -o br0 -j MASQUERADE';
  it.each([
    ['a masquerade', [nat([MASQUERADE])], ['rewrites']],
    ['one with a fixed address', [nat(['-s 10.5.34.0/24 -j SNAT --to-source 192.0.2.1'])], ['rewrites']],
    ['one of other packets', [nat(['-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE'])], []],
    ['one behind an accept', [nat(['-d 10.5.0.0/16 -j ACCEPT', MASQUERADE])], []],
    ['one behind a called chain that returns', [nat(['-j sub', MASQUERADE, 'sub: -j RETURN'])], ['rewrites']],
    ['one behind an accept of an earlier chain', [nat(['-j ACCEPT'], 99), nat([MASQUERADE])], ['rewrites']],
    ['one of marked packets', [nat(['-m mark --mark 0x2000/0x2000 -j MASQUERADE'])], []],
    [
      'kube-proxy before it',
      [nat(['-j sub', MASQUERADE, 'sub: -m mark ! --mark 0x4000/0x4000 -j RETURN', 'sub: -j MASQUERADE'])],
      ['rewrites'],
    ],
    ['a chain of the same order that may do anything', [nat(['-j SYNPROXY']), nat([MASQUERADE])], []],
  ])('judgeFlow finds what rewrites the source: %s', async (_, chains, expected) => {
    expect(await effectsOf(chains, 'TO_PEERS')).toEqual(expected);
    expect(await effectsOf(chains, 'TO_OUTSIDE')).toEqual([]);
  });

  it('judgeFlow evaluates a limited number of rules, and is uncertain about the rest', async () => {
    const doubling = Array.from({ length: 15 }, (_, i) => [
      `c${i}: -j c${i + 1}`,
      `c${i}: -j c${i + 1}`,
    ]).flat();
    const rules = [
      '-j c0',
      ...doubling,
      ...Array.from({ length: 20 }, () => 'c15: -s 192.0.2.1/32 -j DROP'),
      '-j DROP',
    ];
    expect(await effectsOf([chainOf(rules)])).toEqual(['may drop']);
  });
});
