// Reads the rules of the old iptables, whose tables are apart from nftables: nft does not see them, and no event tells
// of their changes.

import { errnoOf, messageOf } from '../../base/errors.ts';
import type { Exec } from '../../base/exec.ts';
import type { BaseChain, Hook, TableSizes } from '../../model/ruleset.ts';
import { parseRules } from '../iptables-text.ts';
import { LIMITS } from '../limits.ts';
import { runToSuccess } from '../program.ts';
import type { PlacedChain } from './flow-verdict.ts';
import { parseIptablesRule } from './iptables-rule.ts';

export interface OldChains {
  readonly chains: readonly PlacedChain[];
  /** Why some of them could not be read, one line each. */
  readonly unseen: readonly string[];
}

/** The kernel's chains of the old iptables on the way of forwarded packets, as far as they may drop or rewrite. */
const BASES: readonly (Pick<BaseChain, 'table' | 'name' | 'type' | 'priority'> & { readonly hook: Hook })[] =
  [
    { table: 'raw', name: 'PREROUTING', hook: 'prerouting', type: 'filter', priority: -300 },
    { table: 'filter', name: 'FORWARD', hook: 'forward', type: 'filter', priority: 0 },
    { table: 'nat', name: 'POSTROUTING', hook: 'postrouting', type: 'nat', priority: 100 },
  ];

/** Reads the chains of the tables that exist, with these sizes. `program`: the name of iptables-save. */
export async function readOldChains(
  exec: Exec,
  program: string,
  sizes: ReadonlyMap<string, TableSizes>,
  signal?: AbortSignal,
): Promise<OldChains> {
  const chains: PlacedChain[] = [];
  const unseen: string[] = [];
  for (const base of BASES) {
    const size = sizes.get(base.table);
    if (size === undefined) continue;
    const purpose = `cannot look for obstacles in the old iptables table ${base.table}`;
    if (size.bytes > LIMITS.chainBytes) {
      unseen.push(`${purpose}: it has more rules than are read`);
      continue;
    }
    try {
      const args = ['-t', base.table];
      const outputBytes = LIMITS.chainBytes;
      const run = { purpose, file: program, args, packageName: 'iptables', outputBytes, signal };
      chains.push(parseOldChain(base, await runToSuccess(exec, run)));
    } catch (error) {
      signal?.throwIfAborted();
      unseen.push(errnoOf(error) === 'ENOENT' ? `${purpose}: ${program} is not installed` : messageOf(error));
    }
  }
  return { chains, unseen };
}

function parseOldChain(base: (typeof BASES)[number], listing: string): PlacedChain {
  const declared = new Map(
    Array.from(listing.matchAll(/^:(\S+) (\S+)/gm), ([, name, policy]) => [name, policy]),
  );
  const rules = parseRules(listing);
  return {
    ...base,
    family: 'ip',
    policy: declared.get(base.name) === 'DROP' ? 'drop' : 'accept',
    isActive: 'yes',
    where: `the old iptables table ${base.table}`,
    readChain: async (name) =>
      rules
        .filter((line) => line.startsWith(`-A ${name} `))
        .map((line) => parseIptablesRule(line, (target) => declared.has(target))),
  };
}
