// Listings of other versions of nft. The version of this machine is tested in test/kernel.
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../../agent/base/exec.ts';
import { findObstacles } from '../../../agent/firewall/obstacles.ts';

const NETWORK = { family: 'ipv4', address: '10.5.3.1', length: 16 } as const;

/** An nft that lists one table with these flags, and in it one chain with these rules and the policy drop. */
const nftWith =
  (rules: readonly unknown[], flags: unknown): Exec =>
  (_, args) => {
    const inTable = { family: 'inet', table: 'theirs' };
    const chain = { ...inTable, name: 'f', type: 'filter', hook: 'forward', prio: 0, policy: 'drop' };
    const entries = {
      tables: [{ table: { family: 'inet', name: 'theirs', ...(flags === undefined ? {} : { flags }) } }],
      chains: [{ chain: { ...inTable, name: 'called' } }, { chain }],
      chain: [{ chain }, ...rules.map((expr) => ({ rule: { ...inTable, chain: 'f', expr } }))],
    }[args[2] as 'tables' | 'chains' | 'chain'];
    const stdout = JSON.stringify({ nftables: [{ metainfo: {} }, ...entries] });
    return Promise.resolve({ exitCode: 0, stdout, stderr: '' });
  };

const verdicts = async (rules: readonly unknown[], flags?: unknown): Promise<readonly string[]> =>
  (await findObstacles(nftWith(rules, flags), NETWORK)).map(({ verdict }) => verdict);

const accept = { accept: null };

describe('findObstacles', () => {
  it.each([
    ['no flags', undefined, ['drops']],
    ['an owner', 'owner', ['drops']],
    ['an owner and persist', ['owner', 'persist'], ['drops']],
    ['dormant', 'dormant', []],
    ['dormant, with an owner', ['dormant', 'owner'], []],
    ['an unknown flag', ['new'], ['may drop']],
  ])('findObstacles evaluates the flags of a table: %s', async (_, flags, expected) => {
    expect(await verdicts([], flags)).toEqual(expected);
  });

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
    ['a part of it', '10.5.128.0', 17, []],
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
