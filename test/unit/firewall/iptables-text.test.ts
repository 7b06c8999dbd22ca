import { describe, expect, it } from 'vitest';
import { supportsRandomFully } from '../../../agent/firewall/iptables.ts';
import {
  formatIptablesRule,
  type OwnTable,
  parseRules,
  planRestore,
} from '../../../agent/firewall/iptables-text.ts';

const forward = {
  name: 'FLANNEL-FWD',
  comment: 'flanneld forward',
  rules: ['-s 10.5.0.0/16 -j ACCEPT', '-d 10.5.0.0/16 -j ACCEPT'],
} as const;
const own: OwnTable = { table: 'filter', parent: 'FORWARD', chains: [forward] };
const nothing: OwnTable = { ...own, chains: [{ ...forward, rules: [] }] };
const JUMP = '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD';
const RULES = ['-A FLANNEL-FWD -s 10.5.0.0/16 -j ACCEPT', '-A FLANNEL-FWD -d 10.5.0.0/16 -j ACCEPT'];
const FOREIGN = '-A FORWARD -i docker0 -j DROP';
const CHAIN = ':FLANNEL-FWD - [0:0]';

/** The rules of a filter table with these lines. */
const plan = (table: OwnTable, ...lines: readonly string[]): string | undefined => {
  const rules = parseRules(lines.join('\n'));
  const of = (name: string): readonly string[] => rules.filter((rule) => rule.startsWith(`-A ${name} `));
  const there = table.chains.filter(({ name }) => lines.includes(`:${name} - [0:0]`));
  const found = new Map(there.map(({ name }) => [name, of(name)]));
  return planRestore(table, { own: found, parent: of(table.parent), calls: of('MINE') });
};

const rewrite = (...deletions: readonly string[]): string =>
  [
    '*filter',
    CHAIN,
    ...RULES,
    ...deletions,
    '-I FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    'COMMIT',
    '',
  ].join('\n');

describe('planRestore', () => {
  it('planRestore writes nothing when chain and jump are as wanted', () => {
    expect(plan(own, CHAIN, JUMP, FOREIGN, ...RULES)).toBeUndefined();
  });

  const deletion = JUMP.replace('-A', '-D');
  it.each([
    { found: 'no rule of ours', lines: [FOREIGN], deletions: [] },
    { found: 'no jump', lines: [CHAIN, FOREIGN, ...RULES], deletions: [] },
    { found: 'the jump behind another rule', lines: [CHAIN, FOREIGN, JUMP, ...RULES], deletions: [deletion] },
    { found: 'the jump twice', lines: [CHAIN, JUMP, JUMP, ...RULES], deletions: [deletion, deletion] },
    {
      found: 'a first jump that matches less',
      lines: [CHAIN, '-A FORWARD -i eth0 -j FLANNEL-FWD', ...RULES],
      deletions: ['-D FORWARD -i eth0 -j FLANNEL-FWD'],
    },
    { found: 'an empty chain', lines: [CHAIN, JUMP], deletions: [deletion] },
    { found: 'a missing rule', lines: [CHAIN, JUMP, ...RULES.slice(1)], deletions: [deletion] },
    { found: 'an additional rule', lines: [CHAIN, JUMP, ...RULES, ...RULES], deletions: [deletion] },
    { found: 'rules in another order', lines: [CHAIN, JUMP, ...RULES.toReversed()], deletions: [deletion] },
  ])('planRestore rewrites chain and jump when it finds $found', ({ lines, deletions }) => {
    expect(plan(own, ...lines)).toBe(rewrite(...deletions));
  });

  it('planRestore leaves a long parent alone whose first rule is the jump', () => {
    const found = new Map([[forward.name, RULES]]);
    expect(planRestore(own, { own: found, parent: [JUMP], calls: [] })).toBeUndefined();
    expect(planRestore(own, { own: found, parent: [FOREIGN], calls: [] })).toBe(rewrite());
  });

  it('planRestore does not mistake a comment for a jump', () => {
    const comment = '-A FORWARD -m comment --comment "to -j FLANNEL-FWD" -j ACCEPT';
    expect(plan(own, CHAIN, JUMP, comment, ...RULES)).toBeUndefined();
  });

  it('planRestore writes a table that does not exist yet', () => {
    expect(plan(own)).toBe(rewrite());
  });

  it('planRestore removes the chain and all calls of it when there are no rules', () => {
    const call = '-A MINE -g FLANNEL-FWD';
    expect(plan(nothing, CHAIN, ':MINE - [0:0]', JUMP, FOREIGN, call, ...RULES)).toBe(
      `*filter\n${deletion}\n-D MINE -g FLANNEL-FWD\n-F FLANNEL-FWD\n-X FLANNEL-FWD\nCOMMIT\n`,
    );
  });

  it('planRestore writes nothing when no rules are wanted and none exist', () => {
    expect(plan(nothing, FOREIGN)).toBeUndefined();
  });
});

describe('planRestore for two chains of one parent', () => {
  const first = { name: 'TWILL-FIRST', comment: 'twill', rules: ['-j RETURN'] } as const;
  const both: OwnTable = { ...own, chains: [first, forward] };
  const FIRST_JUMP = '-A FORWARD -m comment --comment twill -j TWILL-FIRST';
  const FIRST_CHAIN = ':TWILL-FIRST - [0:0]';
  const FIRST = [FIRST_CHAIN, '-A TWILL-FIRST -j RETURN'] as const;

  it('planRestore writes nothing when both jumps come first, in order', () => {
    expect(plan(both, ...FIRST, CHAIN, FIRST_JUMP, JUMP, FOREIGN, ...RULES)).toBeUndefined();
  });

  it.each([
    { found: 'the jumps in another order', jumps: [JUMP, FIRST_JUMP] },
    { found: 'a rule between the jumps', jumps: [FIRST_JUMP, FOREIGN, JUMP] },
    { found: 'one jump', jumps: [FIRST_JUMP] },
  ])('planRestore puts both jumps first when it finds $found', ({ jumps }) => {
    const text = plan(both, ...FIRST, CHAIN, ...jumps, ...RULES);
    const deletions = jumps.filter((rule) => rule !== FOREIGN).map((rule) => rule.replace('-A', '-D'));
    const insertions = [JUMP, FIRST_JUMP].map((rule) => rule.replace('-A', '-I'));
    expect(text?.split('\n').slice(1, -2)).toEqual([
      FIRST_CHAIN,
      CHAIN,
      FIRST[1],
      ...RULES,
      ...deletions,
      ...insertions,
    ]);
  });

  it('planRestore removes one of two chains in the transaction that keeps the other', () => {
    const one: OwnTable = { ...own, chains: [{ ...first, rules: [] }, forward] };
    expect(
      plan(one, ...FIRST, CHAIN, FIRST_JUMP, JUMP, ...RULES)
        ?.split('\n')
        .slice(1, -2),
    ).toEqual([
      CHAIN,
      ...RULES,
      ...[FIRST_JUMP, JUMP].map((rule) => rule.replace('-A', '-D')),
      JUMP.replace('-A', '-I'),
      '-F TWILL-FIRST',
      '-X TWILL-FIRST',
    ]);
  });
});

describe('formatIptablesRule', () => {
  it('formatIptablesRule quotes comments as iptables-save does', () => {
    const rule = (comment: string): string =>
      formatIptablesRule({ match: {}, action: 'accept', comment }, false);
    expect(rule('plain_word-1')).toBe('-m comment --comment plain_word-1 -j ACCEPT');
    expect(rule(`a "b" it's`)).toBe(String.raw`-m comment --comment "a \"b\" it\'s" -j ACCEPT`);
  });
});

describe('supportsRandomFully', () => {
  it.each([
    ['iptables v1.8.9 (nf_tables)', true],
    ['iptables v1.6.2', true],
    ['iptables v1.6.1', false],
    ['iptables v1.4.21', false],
    ['iptables v1.10.0 (legacy)', true],
    ['iptables v2.0', true],
    ['something else', false],
  ])('supportsRandomFully reads %s as %s', (version, expected) => {
    expect(supportsRandomFully(version)).toBe(expected);
  });
});
