// Reads the rules of foreign chains of nftables, once in a search, and only when a flow reaches them. A small table is
// read as a whole, since each run of a program takes longer than what it prints. The newer iptables is built on
// nftables; nft names its extensions and no more, so iptables lists some chains again.
import { errnoOf } from '../../base/errors.ts';
import type { Exec } from '../../base/exec.ts';
import type { JsonValue } from '../../base/schema.ts';
import * as v from '../../base/valibot.ts';
import type { BaseChains } from '../../model/ruleset.ts';
import { parseRules } from '../iptables-text.ts';
import { LIMITS } from '../limits.ts';
import { type NftEntry, parseNftListing } from '../nftables-table.ts';
import { runProgram, runToSuccess } from '../program.ts';
import type { ReadChain } from './chain-verdict.ts';
import type { ForeignRule } from './foreign-rule.ts';
import { parseIptablesRule } from './iptables-rule.ts';
import { callsIn, hasUnclearExtension, mapsIn, parseNftRule } from './nft-rule.ts';

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

/** The listings of a table, or of one chain of it. */
interface Listing {
  readonly entries: readonly NftEntry[];
  /** What the listing of iptables is of: a chain, or all of them. */
  readonly iptablesArgs: readonly string[];
}

/**
 * Creates the reader of one search. `bulky`: tables that print too much to be read as a whole. It learns of more of
 * them, and is kept from one search to the next.
 */
export function createChainReader(
  exec: Exec,
  { long, small }: Pick<BaseChains, 'long' | 'small'>,
  bulky: Set<string>,
  signal?: AbortSignal,
): ChainReader {
  let readsLeft: number = LIMITS.foreignChains;
  const read = new Set<string>();
  const chains = new Map<string, Promise<readonly ForeignRule[] | undefined>>();
  const tables = new Map<string, Promise<Listing | undefined>>();
  const iptables = new Map<string, Promise<readonly string[]>>();

  const list = async (...what: readonly string[]): Promise<readonly NftEntry[] | undefined> => {
    if (readsLeft-- <= 0) return undefined;
    const args = ['-j', 'list', ...what];
    const purpose = 'cannot read the nftables rules';
    const outputBytes = LIMITS.chainBytes;
    const run = { purpose, file: 'nft', args, packageName: 'nftables', outputBytes, signal };
    return parseNftListing(await runToSuccess(exec, run));
  };

  const listTable = async ({ family, table }: NftTableName): Promise<Listing | undefined> => {
    const id = `${family} ${table}`;
    if (!small.has(id) || bulky.has(id)) return undefined;
    try {
      const entries = await list('table', family, table);
      return entries && { entries, iptablesArgs: [] };
    } catch (error) {
      signal?.throwIfAborted();
      // Its sets may have a hundred thousand elements. Else something of it that does not matter may not be readable.
      if (errnoOf(error) === 'EFBIG') bulky.add(id);
      return undefined;
    }
  };

  const listChain = async ({ family, table }: NftTableName, name: string): Promise<Listing | undefined> => {
    const listing = await list('chain', family, table, name);
    if (listing === undefined) return undefined;
    const maps: NftEntry[] = [];
    for (const map of mapsIn(rulesIn(listing, name))) {
      maps.push(...((await list('map', family, table, map)) ?? []));
    }
    return { entries: [...listing, ...maps], iptablesArgs: [name] };
  };

  /** The lines of iptables for the chain; undefined: it does not see what nft sees. */
  const listByIptables = async (
    table: string,
    name: string,
    args: readonly string[],
  ): Promise<readonly string[] | undefined> => {
    const all = ['-t', table, '-S', ...args];
    const id = all.join(' ');
    const purpose = 'cannot read the iptables rules';
    const run = { purpose, file: 'iptables-nft', args: all, packageName: 'iptables', signal };
    try {
      const lines = iptables.get(id) ?? runProgram(exec, run).then(({ stdout }) => parseRules(stdout));
      iptables.set(id, lines);
      return (await lines).filter((line) => line.startsWith(`-A ${name} `));
    } catch {
      signal?.throwIfAborted();
      // It is not installed, or the chain is too much for it.
      return undefined;
    }
  };

  const readRules = async (
    table: NftTableName,
    name: string,
  ): Promise<readonly ForeignRule[] | undefined> => {
    const tableId = `${table.family} ${table.table}`;
    const whole = tables.get(tableId) ?? listTable(table);
    tables.set(tableId, whole);
    const listing = (await whole) ?? (await listChain(table, name));
    if (listing === undefined) return undefined;
    const { entries, iptablesArgs } = listing;
    const rules = rulesIn(entries, name);
    if (table.family === 'ip' && rules.some(hasUnclearExtension)) {
      const lines = await listByIptables(table.table, name, iptablesArgs);
      const calls = callsIn(rules);
      if (lines?.length === rules.length)
        return lines.map((line) => parseIptablesRule(line, (target) => calls.has(target)));
    }
    const maps = new Map(mapsOf(entries));
    return rules.map((rule) => parseNftRule(rule, (map) => maps.get(map)));
  };

  return {
    read,
    in: (table) => (name) => {
      const id = `${table.family} ${table.table} ${name}`;
      read.add(id);
      if (long.has(id)) return Promise.resolve(undefined);
      const rules = chains.get(id) ?? readRules(table, name);
      chains.set(id, rules);
      return rules;
    },
  };
}

const ofChain = v.object({ chain: v.string() });

function rulesIn(entries: readonly NftEntry[], chain: string): readonly JsonValue[] {
  return entries.flatMap(({ rule }) =>
    v.is(ofChain, rule) && rule.chain === chain ? [rule as JsonValue] : [],
  );
}

// A map without elements has no such field.
const mapSchema = v.object({ name: v.string(), elem: v.optional(v.custom<JsonValue>(Array.isArray)) });

function mapsOf(entries: readonly NftEntry[]): readonly (readonly [name: string, elements: JsonValue])[] {
  return entries.flatMap(({ map }) => (v.is(mapSchema, map) ? [[map.name, map.elem ?? []] as const] : []));
}
