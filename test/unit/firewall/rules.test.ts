// The rules of a node in the words of iptables-save: golden text, as flannel's own rules are listed.
import { describe, expect, it } from 'vitest';
import { formatIptablesRule } from '../../../agent/firewall/iptables-text.ts';
import { type FirewallInput, planFirewall } from '../../../agent/firewall/rules.ts';
import type { FirewallRule } from '../../../agent/model/firewall.ts';
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

const WITHOUT_RANDOM = POSTROUTING.replaceAll(' --random-fully', '');

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
    const text = (list: readonly FirewallRule[]): string =>
      list.map((rule) => formatIptablesRule(rule, rules.randomFully)).join('\n');
    expect(text(rules.postrouting)).toBe(postrouting);
    expect(text(rules.forward)).toBe(forward);
    expect(text(rules.source)).toBe(SOURCE);
  });
});
