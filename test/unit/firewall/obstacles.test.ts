// What other versions of nft list; what this machine's lists is tested with the real one.
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../../agent/base/exec.ts';
import { findObstacles } from '../../../agent/firewall/obstacles.ts';

const NETWORK = { family: 4, address: '10.5.3.1', length: 16 } as const;

/** An nft with one table and one chain that drops, whose rules and table's flags are these. */
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
    ['an owner that may go', ['owner', 'persist'], ['drops']],
    ['asleep', 'dormant', []],
    ['asleep, with an owner', ['dormant', 'owner'], []],
    ['something new', ['new'], ['may drop']],
  ])('takes a table by its flags: %s', async (_, flags, expected) => {
    expect(await verdicts([], flags)).toEqual(expected);
  });

  it.each([
    ['a statement that nobody knows', [{ something: {} }, accept]],
    ['an extension without a name', [{ xt: null }, accept]],
    [
      'a match in another form',
      [{ match: { op: 'in', left: { ct: { key: 'state' } }, right: { '|': ['new'] } } }, accept],
    ],
    ['a match of another kind', [{ match: { op: '<', left: 1, right: 2 } }, accept]],
    ['no statements', 'none'],
    ['a call of nothing', [{ jump: {} }]],
  ])('is not sure where it meets %s', async (_, expr) => {
    expect(await verdicts([expr])).toEqual(['may drop']);
  });

  it.each([
    ['the network', '10.5.0.0', 16, []],
    ['more than it', '10.4.0.0', 14, []],
    ['a part of it', '10.5.128.0', 17, []],
    ['its neighbour', '10.4.0.0', 16, ['drops']],
  ])('takes prefixes for what they cover: %s', async (_, addr, len, expected) => {
    const left = { payload: { protocol: 'ip', field: 'saddr' } };
    const rule = [{ match: { op: '==', left, right: { prefix: { addr, len } } } }, accept];
    expect(await verdicts([rule])).toEqual(expected);
  });
});
