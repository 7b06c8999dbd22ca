// The rules of a node in the words of iptables-save: golden text, as flannel's own rules are listed.
import { describe, expect, it } from 'vitest';
import { formatIptablesRule } from '../../../agent/firewall/iptables-text.ts';
import { type FirewallInput, planFirewall } from '../../../agent/firewall/rules.ts';
import type { FirewallRule, FirewallRules } from '../../../agent/model/firewall.ts';
import { type Prefix, parsePrefix } from '../../../agent/model/ip.ts';

const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
};

const input: FirewallInput = {
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.34.0/24'),
  ipMasq: true,
  forwardRules: true,
  randomFully: true,
  dockerDirect: true,
  links: ['flannel.1'],
  bridges: [],
};

const POSTROUTING = `
-m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-s 10.5.34.0/24 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
! -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
-s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
`.trim();

const FORWARD = `
-s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
`.trim();

const SOURCE = `
-m mark --mark 0x4000/0x4000 -m comment --comment "twill source" -j RETURN
-m mark --mark 0x2000/0x2000 -m comment --comment "twill source" -j RETURN
-s 10.5.34.0/24 -d 10.5.34.0/24 -m comment --comment "twill source" -j RETURN
-s 10.5.34.0/24 -d 10.5.0.0/16 -m comment --comment "twill source" -j ACCEPT
`.trim();

const DIRECT = '-s 10.5.0.0/16 -d 10.5.34.0/24 -i flannel.1 -m comment --comment "twill direct" -j ACCEPT';

const WITHOUT_RANDOM = POSTROUTING.replaceAll(' --random-fully', '');

const textOf =
  ({ randomFully }: FirewallRules) =>
  (list: readonly FirewallRule[]): string =>
    list.map((rule) => formatIptablesRule(rule, randomFully)).join('\n');

describe('planFirewall', () => {
  it.each([
    { asked: 'both kinds of rules', change: {}, postrouting: POSTROUTING, forward: FORWARD },
    { asked: 'no masquerade', change: { ipMasq: false }, postrouting: '', forward: FORWARD },
    { asked: 'no forward rules', change: { forwardRules: false }, postrouting: POSTROUTING, forward: '' },
    {
      asked: 'neither kind of rules',
      change: { ipMasq: false, forwardRules: false },
      postrouting: '',
      forward: '',
    },
    {
      asked: 'source ports that are not random',
      change: { randomFully: false },
      postrouting: WITHOUT_RANDOM,
      forward: FORWARD,
    },
    {
      asked: 'prefixes with host bits',
      change: { network: prefix('10.5.3.4/16'), subnet: prefix('10.5.34.1/24') },
      postrouting: POSTROUTING,
      forward: FORWARD,
    },
  ])('planFirewall plans the rules of flannel with $asked', ({ change, postrouting, forward }) => {
    const rules = planFirewall({ ...input, ...change });
    const text = textOf(rules);
    expect(text(rules.postrouting)).toBe(postrouting);
    expect(text(rules.forward)).toBe(forward);
    expect(text(rules.source)).toBe(SOURCE);
    expect(text(rules.direct)).toBe(DIRECT);
    expect(rules.local).toEqual([]);
  });

  it("planFirewall lifts Docker's drops for the links of peers alone, and not where they shall stay", () => {
    const rules = planFirewall({ ...input, links: ['eth1', 'flannel.1'] });
    expect(textOf(rules)(rules.direct)).toBe(`${DIRECT.replace('flannel.1', 'eth1')}\n${DIRECT}`);
    expect(planFirewall({ ...input, dockerDirect: false }).direct).toEqual([]);
  });

  const bridge = (name: string, network: string) => ({ name, network: prefix(network) });
  it.each([
    { bridges: [], local: [] },
    { bridges: [bridge('docker0', '10.5.34.0/24')], local: [] },
    // One bridge with two networks.
    { bridges: [bridge('b', '10.5.34.0/25'), bridge('b', '10.5.34.128/25')], local: [] },
    {
      bridges: [bridge('docker0', '10.5.34.0/25'), bridge('br-1', '10.5.34.128/25')],
      local: ['br-1', 'docker0'].map(
        (name) =>
          `-s 10.5.34.0/24 -d 10.5.34.0/24 -i ${name} ! -o ${name} -m comment --comment "twill local" -j RETURN`,
      ),
    },
  ])(
    'planFirewall leaves packets between networks of this host to others: $bridges',
    ({ bridges, local }) => {
      const rules = planFirewall({ ...input, bridges });
      expect(textOf(rules)(rules.local)).toBe(local.join('\n'));
      expect(textOf(rules)(rules.forward)).toBe(FORWARD);
      expect(planFirewall({ ...input, bridges, forwardRules: false }).local).toEqual([]);
    },
  );
});
