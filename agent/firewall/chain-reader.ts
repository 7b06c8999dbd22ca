// Reads the rules of foreign chains of nftables, each once in a search, and only when a flow reaches it. The newer
// iptables is built on nftables; nft names its extensions and no more, so iptables lists chains with extensions.
import type { Exec } from '../base/exec.ts';
import type { JsonValue } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { ReadChain } from './chain-verdict.ts';
import type { ForeignRule } from './foreign-rule.ts';
import { parseIptablesRule } from './iptables-rule.ts';
import { parseRules } from './iptables-text.ts';
import { LIMITS } from './limits.ts';
import { callsIn, hasExtension, mapsIn, parseNftRule } from './nft-rule.ts';
import { type NftEntry, parseNftListing } from './nftables-table.ts';
import { runProgram, runToSuccess } from './program.ts';

export interface NftTableName {
  readonly family: 'ip' | 'inet';
  readonly table: string;
}

export interface ChainReader {
  /** Reads chains of this table. Fails as `host` when nft cannot be run, or the chain is gone. */
  in(table: NftTableName): ReadChain;
  /** All chains that were asked for, as `ip filter FORWARD`. */
  readonly read: ReadonlySet<string>;
}

/** Creates the reader of one search. `long`: chains that are too long to be read. */
export function createChainReader(exec: Exec, long: ReadonlySet<string>, signal?: AbortSignal): ChainReader {
  let readsLeft: number = LIMITS.foreignChains;
  const read = new Set<string>();
  const found = new Map<string, Promise<readonly ForeignRule[] | undefined>>();

  const list = async (what: 'chain' | 'map', { family, table }: NftTableName, name: string) => {
    if (readsLeft-- <= 0) return undefined;
    return parseNftListing(
      await runToSuccess(exec, {
        purpose: 'cannot read the nftables rules',
        file: 'nft',
        args: ['-j', 'list', what, family, table, name],
        packageName: 'nftables',
        signal,
      }),
    );
  };

  const readRules = async (
    table: NftTableName,
    name: string,
  ): Promise<readonly ForeignRule[] | undefined> => {
    const listing = await list('chain', table, name);
    if (listing === undefined) return undefined;
    const rules = valuesOf(listing, 'rule');
    if (table.family === 'ip' && rules.some(hasExtension)) {
      const better = await readByIptables(table.table, name, rules);
      if (better !== undefined) return better;
    }
    const maps = new Map<string, JsonValue | undefined>();
    for (const map of mapsIn(rules)) {
      const [value] = valuesOf((await list('map', table, map)) ?? [], 'map');
      // A map without elements has no such field.
      if (v.is(mapSchema, value)) maps.set(map, value.elem ?? []);
    }
    return rules.map((rule) => parseNftRule(rule, (map) => maps.get(map)));
  };

  const readByIptables = async (table: string, name: string, rules: readonly JsonValue[]) => {
    const program = {
      purpose: 'cannot read the iptables rules',
      file: 'iptables-nft',
      packageName: 'iptables',
    };
    try {
      const { exitCode, stdout } = await runProgram(exec, {
        ...program,
        args: ['-t', table, '-S', name],
        signal,
      });
      const lines = parseRules(stdout);
      if (exitCode !== 0 || lines.length !== rules.length) return undefined;
      const calls = callsIn(rules);
      return lines.map((line) => parseIptablesRule(line, (target) => calls.has(target)));
    } catch {
      signal?.throwIfAborted();
      // It is not installed, or the chain is too much for it.
      return undefined;
    }
  };

  return {
    read,
    in: (table) => (name) => {
      const id = `${table.family} ${table.table} ${name}`;
      read.add(id);
      if (long.has(id)) return Promise.resolve(undefined);
      const rules = found.get(id) ?? readRules(table, name);
      found.set(id, rules);
      return rules;
    },
  };
}

const mapSchema = v.object({ elem: v.optional(v.custom<JsonValue>(Array.isArray)) });

function valuesOf(entries: readonly NftEntry[], kind: 'rule' | 'map'): readonly JsonValue[] {
  return entries.flatMap((entry) => (entry[kind] === undefined ? [] : [entry[kind]]));
}
