// Listings of other versions of nft. The version of this machine is tested in test/kernel.
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../../../agent/base/exec.ts';
import { findObstacles, mayObstruct } from '../../../../agent/firewall/obstacles/obstacles.ts';
import type { BaseChain, RulesetChange, RulesetReader } from '../../../../agent/model/ruleset.ts';

const TRAFFIC = {
  network: { family: 'ipv4', address: '10.5.3.1', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.3.0', length: 24 },
  peerLinks: ['flannel.1'],
  underlay: 'eth0',
  bridges: [],
} as const;

/** An nft that lists one chain with these rules and the policy drop. */
const nftWith =
  (rules: readonly unknown[]): Exec =>
  () => {
    const inTable = { family: 'inet', table: 'theirs' };
    const entries = rules.map((expr) => ({ rule: { ...inTable, chain: 'f', expr } }));
    const stdout = JSON.stringify({ nftables: [{ metainfo: {} }, ...entries] });
    return Promise.resolve({ exitCode: 0, stdout, stderr: '' });
  };

/** A rule set of this one chain for forwarded packets. */
const readerOf = (isActive: BaseChain['isActive']): RulesetReader => ({
  baseChains: async () => ({
    chains: [
      {
        family: 'inet',
        table: 'theirs',
        name: 'f',
        hook: 'forward',
        type: 'filter',
        priority: 0,
        policy: 'drop',
        isActive,
      },
    ],
    long: new Set(),
    small: new Set(),
  }),
  hasTable: async () => false,
  hasChain: async () => false,
  generation: async () => 1,
});

const verdicts = async (
  rules: readonly unknown[],
  isActive: BaseChain['isActive'] = 'yes',
): Promise<readonly string[]> => {
  const { obstacles } = await findObstacles({ exec: nftWith(rules), reader: readerOf(isActive) }, TRAFFIC);
  return obstacles.map(({ isFault }) => (isFault ? 'drops' : 'may drop'));
};

const accept = { accept: null };

describe('findObstacles', () => {
  it.each([
    ['yes', ['drops']],
    ['perhaps', ['may drop']],
    ['no', []],
  ] as const)(
    'findObstacles evaluates whether the kernel calls the chain: %s',
    async (isActive, expected) => {
      expect(await verdicts([], isActive)).toEqual(expected);
    },
  );

  it.each([
    ['an unknown statement', [{ something: {} }, accept]],
    ['an extension without a name', [{ xt: null }, accept]],
    [
      'a match in another form',
      [{ match: { op: 'in', left: { ct: { key: 'state' } }, right: { '|': ['new'] } } }, accept],
    ],
    ['a match of another kind', [{ match: { op: '<', left: 1, right: 2 } }, accept]],
    ['no statements', 'none'],
    ['a call without a target', [{ jump: {} }]],
  ])('findObstacles is uncertain about %s', async (_, expr) => {
    expect(await verdicts([expr])).toEqual(['may drop']);
  });

  it.each([
    ['the network', '10.5.0.0', 16, []],
    ['a larger prefix', '10.4.0.0', 14, []],
    ['a part of it with our subnet', '10.5.0.0', 17, []],
    ['a part of it without our subnet', '10.5.128.0', 17, ['drops']],
    ['its neighbour', '10.4.0.0', 16, ['drops']],
  ])(
    'findObstacles compares the prefix of an accept with the network: %s',
    async (_, addr, len, expected) => {
      const left = { payload: { protocol: 'ip', field: 'saddr' } };
      const rule = [{ match: { op: '==', left, right: { prefix: { addr, len } } } }, accept];
      expect(await verdicts([rule])).toEqual(expected);
    },
  );
});

describe('mayObstruct', () => {
  const change = (given: Partial<RulesetChange>): RulesetChange => ({
    kind: 'rule',
    isGone: false,
    table: 'ip filter',
    chain: 'FORWARD',
    isHooked: false,
    isBehind: true,
    mentions: () => false,
    ...given,
  });
  const read = new Set(['ip filter FORWARD']);
  it.each([
    ['a rule of a chain that was read', {}, true],
    ['a rule of another chain', { chain: 'KUBE-SERVICES' }, false],
    ['a chain of that name in another family', { table: 'ip6 filter' }, false],
    ['a new chain for forwarded packets', { kind: 'chain', chain: 'new', isHooked: true }, true],
    ['another new chain', { kind: 'chain', chain: 'new' }, false],
    ['the table', { kind: 'table', chain: undefined }, true],
    ['another table', { kind: 'table', table: 'ip nat', chain: undefined }, false],
  ] as const)('mayObstruct looks at table and chain of a change: %s', (_, given, expected) => {
    expect(mayObstruct(change(given), read)).toBe(expected);
  });
});
