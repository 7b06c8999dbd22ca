// Reads parts of the rule set of nftables, and the messages that tell of its changes. nft would read all 100,000 rules
// of a busy host for the names of its tables.

import type { BaseChain, BaseChains, Hook, RulesetChange, RulesetReader } from '../../model/ruleset.ts';
import { attributeOf, placeOf, textOf } from './bytes.ts';
import { createNetlink, FlagsGet, type NetlinkSocket, Protocol } from './library.ts';
import { formatPayload } from './payload.ts';
import { type MayBeWanted, sifting } from './sift.ts';
import { BOUNDED, IPV4, kernelError, LARGE_READS, refusalOf } from './socket.ts';

// include/uapi/linux/netfilter/nf_tables.h. A type is the number of the subsystem, then that of the message.
const NEW_TABLE = 0x0a00;
const GET_TABLE = 0x0a01;
const DEL_TABLE = 0x0a02;
const NEW_CHAIN = 0x0a03;
const GET_CHAIN = 0x0a04;
const DEL_CHAIN = 0x0a05;
const NEW_RULE = 0x0a06;
const DEL_RULE = 0x0a08;
const GET_GENERATION = 0x0a10;
const [TABLE_NAME, TABLE_FLAGS] = [1, 2];
const [CHAIN_TABLE, CHAIN_NAME, CHAIN_HOOK, CHAIN_POLICY, CHAIN_USE, CHAIN_TYPE] = [1, 3, 4, 5, 6, 7];
const GENERATION_ID = 1;
const [RULE_TABLE, RULE_CHAIN, RULE_POSITION] = [1, 2, 6];
const [HOOK_NUMBER, HOOK_PRIORITY] = [1, 2];
/** Numbers of hooks of the families ip and inet. */
const HOOKS: ReadonlyMap<number, Hook> = new Map([
  [0, 'prerouting'],
  [2, 'forward'],
  [4, 'postrouting'],
]);
const [DORMANT, OWNER, PERSIST] = [1, 2, 4];
const NF_ACCEPT = 1;
const NLM_F_APPEND = 0x800;
/** struct nfgenmsg: family, version, res_id. */
const HEADER_BYTES = 4;

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);

interface RulesetMessage {
  readonly type: number;
  readonly flags: number;
  readonly data: Buffer;
}

/** The change that a message tells of; undefined: one of a set or of another object, or the end of a transaction. */
export function parseRulesetChange({ type, flags, data }: RulesetMessage): RulesetChange | undefined {
  const family = FAMILIES.get(data[0] ?? 0) ?? 'unknown';
  const text = (attribute: number): string => textIn(data, attribute);
  const base = {
    isGone: type === DEL_TABLE || type === DEL_CHAIN || type === DEL_RULE,
    isHooked: false,
    isBehind: false,
    mentions: (words: string) => data.includes(words),
  };
  switch (type) {
    case NEW_TABLE:
    case DEL_TABLE:
      return { ...base, kind: 'table', table: `${family} ${text(TABLE_NAME)}`, chain: undefined };
    case NEW_CHAIN:
    case DEL_CHAIN: {
      const table = `${family} ${text(CHAIN_TABLE)}`;
      const isHooked = (family === 'ip' || family === 'inet') && hookOf(data) !== undefined;
      return { ...base, kind: 'chain', table, chain: text(CHAIN_NAME), isHooked };
    }
    case NEW_RULE:
    case DEL_RULE: {
      const isAppended = (flags & NLM_F_APPEND) !== 0;
      const isBehind = isAppended || attributeOf(data, HEADER_BYTES, RULE_POSITION) !== undefined;
      const [table, chain] = [`${family} ${text(RULE_TABLE)}`, text(RULE_CHAIN)];
      return { ...base, kind: 'rule', table, chain, isBehind };
    }
    default:
      return undefined;
  }
}

/** The place on the way of forwarded packets where the kernel calls a chain; undefined: none. */
function hookOf(data: Buffer): { readonly name: Hook; readonly priority: number } | undefined {
  const hook = attributeOf(data, HEADER_BYTES, CHAIN_HOOK);
  if (hook === undefined) return undefined;
  const name = HOOKS.get(attributeOf(hook, 0, HOOK_NUMBER)?.readUInt32BE(0) ?? -1);
  const priority = attributeOf(hook, 0, HOOK_PRIORITY)?.readInt32BE(0) ?? 0;
  return name && { name, priority };
}

function textIn(data: Buffer, attribute: number): string {
  const value = attributeOf(data, HEADER_BYTES, attribute);
  return value === undefined ? '' : textOf(value);
}

function numberIn(data: Buffer, attribute: number): number {
  return attributeOf(data, HEADER_BYTES, attribute)?.readUInt32BE(0) ?? 0;
}

/** Reads the rule set of this network namespace. */
export const rulesetReader: RulesetReader = {
  async baseChains(mostRules) {
    return reading(NO_CHAINS, async (socket) => {
      const tables = await readTables(socket);
      const counts = new Map<string, number>();
      const mayBeWanted: MayBeWanted = (bytes, start, end) => {
        const placeIn = (type: number) => placeOf(bytes, start + HEADER_BYTES, end, type);
        const [use, table] = [placeIn(CHAIN_USE), placeIn(CHAIN_TABLE)];
        const rules = use === undefined ? 0 : bytes.readUInt32BE(use);
        if (table !== undefined) {
          const name = `${bytes[start]} ${bytes.toString('latin1', table, bytes.indexOf(0, table))}`;
          counts.set(name, (counts.get(name) ?? 0) + rules);
        }
        return placeIn(CHAIN_HOOK) !== undefined || rules > mostRules;
      };
      const messages = await sifting(socket, mayBeWanted, () => list(socket, GET_CHAIN));
      // The name of a table with one or two letters is not found, so none of them counts as small.
      const small = [...counts].flatMap(([name, rules]) => (rules <= mostRules ? [nameOfTable(name)] : []));
      const found = { chains: [], long: new Set<string>(), small: new Set(small) };
      for (const { data } of messages) addChain(data, tables, mostRules, found);
      return found;
    });
  },
  hasTable: ({ family, name }) =>
    reading(false, async (socket) => {
      const tables = await readTables(socket);
      return [...FAMILIES].some(([number, text]) => text === family && tables.has(`${number} ${name}`));
    }),
  hasChain: (table, name) =>
    reading(false, async (socket) => {
      const text = (value: string): readonly number[] => [...Buffer.from(`${value}\0`)];
      const attributes = [
        [CHAIN_TABLE, text(table)],
        [CHAIN_NAME, text(name)],
      ] as const;
      try {
        await socket.request(GET_CHAIN, [formatPayload([IPV4, 0, 0, 0], attributes)], BOUNDED);
        return true;
      } catch (error) {
        if (refusalOf(error) === 'ENOENT') return false;
        throw error;
      }
    }),
  generation: () =>
    reading(undefined, async (socket) => {
      const [messages] = await socket.request(GET_GENERATION, [formatPayload([0, 0, 0, 0], [])], BOUNDED);
      const id = messages[0] && attributeOf(messages[0].data, HEADER_BYTES, GENERATION_ID);
      return id?.readUInt32BE(0);
    }),
};

/** Reads with a socket of its own. Gives `nothing` where the kernel has no nftables. */
async function reading<T>(nothing: T, read: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
  try {
    using socket = openSocket();
    return await read(socket);
  } catch (error) {
    if (refusalOf(error) === 'EPROTONOSUPPORT' || refusalOf(error) === 'EINVAL') return nothing;
    throw kernelError('cannot read the nftables rules', error);
  }
}

/** The flags of all tables, by the number of the family and the name. */
async function readTables(socket: NetlinkSocket): Promise<ReadonlyMap<string, number>> {
  const tables = new Map<string, number>();
  for (const { data } of await list(socket, GET_TABLE)) {
    const name = attributeOf(data, HEADER_BYTES, TABLE_NAME);
    if (name !== undefined) tables.set(`${data[0]} ${textOf(name)}`, numberIn(data, TABLE_FLAGS));
  }
  return tables;
}

// A kernel without nftables.
const NO_CHAINS: BaseChains = { chains: [], long: new Set(), small: new Set() };

/** `ip filter` of `2 filter`. */
function nameOfTable(text: string): string {
  return text.replace(/^\d+/, (family) => FAMILIES.get(Number(family)) ?? 'unknown');
}

function addChain(
  data: Buffer,
  tables: ReadonlyMap<string, number>,
  mostRules: number,
  found: { readonly chains: BaseChain[]; readonly long: Set<string> },
): void {
  const hook = hookOf(data);
  const isLong = numberIn(data, CHAIN_USE) > mostRules;
  const family = FAMILIES.get(data[0] ?? 0);
  if (!(hook || isLong) || (family !== 'ip' && family !== 'inet')) return;
  const [table, name, type] = [CHAIN_TABLE, CHAIN_NAME, CHAIN_TYPE].map((attribute) =>
    textIn(data, attribute),
  );
  if (table === undefined || name === undefined) return;
  if (isLong) found.long.add(`${family} ${table} ${name}`);
  // Chains for NAT matter where they may rewrite the source, and those for filters where they may drop.
  if (!hook || type !== (hook.name === 'postrouting' ? 'nat' : 'filter')) return;
  const flags = tables.get(`${data[0]} ${table}`) ?? 0;
  const isKnown = (flags & ~(DORMANT | OWNER | PERSIST)) === 0;
  const isActive = (flags & DORMANT) !== 0 ? 'no' : isKnown ? 'yes' : 'perhaps';
  const policy = numberIn(data, CHAIN_POLICY) === NF_ACCEPT ? 'accept' : 'drop';
  found.chains.push({
    family,
    table,
    name,
    hook: hook.name,
    type,
    priority: hook.priority,
    policy,
    isActive,
  });
}

function openSocket(): NetlinkSocket & Disposable {
  const socket = createNetlink(Protocol.NETFILTER, LARGE_READS);
  // A lost answer ends in a time-out. Without a listener, the event would end the process.
  socket.on('error', () => undefined);
  return Object.assign(socket, { [Symbol.dispose]: () => socket.close() });
}

async function list(socket: NetlinkSocket, type: number): Promise<readonly { readonly data: Buffer }[]> {
  const [messages] = await socket.request(type, [formatPayload([0, 0, 0, 0], [])], {
    flags: FlagsGet.DUMP,
    ...BOUNDED,
  });
  return messages;
}
