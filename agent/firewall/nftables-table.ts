// Our nftables tables as the JSON of libnftables. The entries that we write are compared with the kernel's listing, so
// that a rule that was deleted, changed or added by hand is noticed. Pure.
import { isDeepStrictEqual } from 'node:util';
import { type JsonValue, parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { FirewallMatch, FirewallRule, FirewallRules } from '../model/firewall.ts';
import type { Prefix } from '../model/ip.ts';

export interface NftTable {
  readonly family: 'ip';
  readonly name: string;
}

/** Flannel's names: one agent replaces the rules of the other. */
export const FLANNEL_TABLE: NftTable = { family: 'ip', name: 'flannel-ipv4' };
/** For the containers of other programs' networks. Beside flannel's, whose table stays as flannel makes it. */
export const CONTAINERS_TABLE: NftTable = { family: 'ip', name: 'twill-containers' };
/** That of Docker's nftables back end, which is opt-in since release 29. No accept of ours overrules its drops. */
export const DOCKER_TABLE: NftTable = { family: 'ip', name: 'docker-bridges' };

// Bits below are taken: 0x8000 and 0x4000 by kube-proxy, 0x2000 by netavark, the CNI plugin portmap and our tunnel
// filter, 0x1000 by netavark, 0x0f00 by Cilium, 0xff0000 by Tailscale, small numbers by the rules of operators.
const DOCKER_MARK = 0x0100_0000;
/** The flags of dockerd for its nftables back end. It accepts packets with the bit that those from peers get. */
export const DOCKER_FLAGS: string = `--allow-direct-routing --bridge-accept-fwmark=${hex(DOCKER_MARK)}/${hex(DOCKER_MARK)}`;

function hex(bits: number): string {
  return `0x${bits.toString(16)}`;
}

interface Chain {
  readonly name: string;
  readonly type: 'nat' | 'filter';
  readonly hook: 'prerouting' | 'postrouting' | 'forward';
  /** 100 is `srcnat`, 0 is `filter`. */
  readonly prio: number;
}

const POSTROUTING: Chain = { name: 'postrtg', type: 'nat', hook: 'postrouting', prio: 100 };
const FORWARD: Chain = { name: 'forward', type: 'filter', hook: 'forward', prio: 0 };
// The kernel asks the chains for NAT in turn, old iptables included, until one of them sets up a mapping. An accept is
// none. Masquerades of others come at 100.
const SOURCE: Chain = { name: 'twill-source', type: 'nat', hook: 'postrouting', prio: 99 };
// Before `raw`, so that each chain of Docker sees the mark.
const MARK: Chain = { name: 'twill-mark', type: 'filter', hook: 'prerouting', prio: -301 };

/** The names of our chains there. */
export const NFT_CHAINS: readonly string[] = [POSTROUTING, FORWARD, SOURCE, MARK].map(({ name }) => name);

/** An object of nftables, such as `{ "rule": { … } }`. */
export type NftEntry = Readonly<Record<string, JsonValue>>;

/** All objects of flannel's table. Empty if there are no rules. */
export function planFlannelTable(rules: FirewallRules): readonly NftEntry[] {
  return planTable(FLANNEL_TABLE, [
    planChain(FLANNEL_TABLE, POSTROUTING, rules.postrouting, rules.randomFully),
    planChain(FLANNEL_TABLE, FORWARD, rules.forward, rules.randomFully),
  ]);
}

/** All objects of the table for containers. Empty if there are no rules. `marks`: for Docker's nftables back end. */
export function planContainersTable(rules: FirewallRules, marks: boolean): readonly NftEntry[] {
  return planTable(CONTAINERS_TABLE, [
    planChain(CONTAINERS_TABLE, SOURCE, rules.source, false),
    marks ? planChain(CONTAINERS_TABLE, MARK, rules.direct, false, SET_MARK) : [],
  ]);
}

const META_MARK: JsonValue = { meta: { key: 'mark' } };
const SET_MARK: JsonValue = { mangle: { key: META_MARK, value: { '|': [META_MARK, DOCKER_MARK] } } };

function planTable(
  { family, name }: NftTable,
  chains: readonly (readonly NftEntry[])[],
): readonly NftEntry[] {
  const entries = chains.flat();
  return entries.length === 0 ? [] : [{ table: { family, name } }, ...entries];
}

function planChain(
  { family, name: table }: NftTable,
  chain: Chain,
  rules: readonly FirewallRule[],
  randomFully: boolean,
  /** Default: that of each rule. */
  action?: JsonValue,
): readonly NftEntry[] {
  if (rules.length === 0) return [];
  const inTable = { family, table };
  return [
    { chain: { ...inTable, ...chain, policy: 'accept' } },
    ...rules.map((rule) => {
      const expr = [...formatMatch(rule.match), action ?? formatAction(rule.action, randomFully)];
      return { rule: { ...inTable, chain: chain.name, comment: rule.comment, expr } };
    }),
  ];
}

// Chains of nftables have no use for `notOutLink`.
function formatMatch({
  mark,
  source,
  notSource,
  destination,
  notDestination,
  inLink,
}: FirewallMatch): readonly JsonValue[] {
  const match = (op: string, left: JsonValue, right: JsonValue): JsonValue => ({
    match: { op, left, right },
  });
  const address = (field: string, op: string, prefix: Prefix | undefined): readonly JsonValue[] =>
    prefix === undefined ? [] : [match(op, { payload: { protocol: 'ip', field } }, formatNftPrefix(prefix))];
  return [
    ...(mark === undefined ? [] : [match('==', { '&': [META_MARK, mark.mask] }, mark.value)]),
    ...(inLink === undefined ? [] : [match('==', { meta: { key: 'iifname' } }, inLink)]),
    ...address('saddr', '==', source),
    ...address('saddr', '!=', notSource),
    ...address('daddr', '==', destination),
    ...address('daddr', '!=', notDestination),
  ];
}

function formatAction(action: FirewallRule['action'], randomFully: boolean): JsonValue {
  // A mapping onto the same address, so that no other chain sets up one.
  if (action === 'keep-source') return { snat: { addr: { payload: { protocol: 'ip', field: 'saddr' } } } };
  return { [action]: action === 'masquerade' && randomFully ? { flags: 'fully-random' } : null };
}

// nft lists a /32 as an address.
function formatNftPrefix(prefix: Prefix): JsonValue {
  return prefix.length === 32 ? prefix.address : { prefix: { addr: prefix.address, len: prefix.length } };
}

/**
 * Formats the input of `nft -j` that makes our table hold exactly these objects, or deletes it if there are none.
 *
 * The table is added first because only an existing table can be deleted. All commands are one transaction: packets see
 * the old rules or the new ones.
 */
export function formatNftReplacement({ family, name }: NftTable, entries: readonly NftEntry[]): string {
  const table = { table: { family, name } };
  const commands = [{ add: table }, { delete: table }, ...entries.map((add) => ({ add }))];
  return JSON.stringify({ nftables: commands });
}

const listing = v.object({
  nftables: v.array(
    v.record(
      v.string(),
      v.custom<JsonValue>(() => true),
    ),
  ),
});

/** Parses a listing of nft into the form of `planFlannelTable`. Fails as `host` when it is no listing. */
export function parseNftListing(text: string): readonly NftEntry[] {
  const { nftables } = parseJson(listing, text, 'listing of nft', 'host');
  return nftables.filter((entry) => !('metainfo' in entry)).map((entry) => normalise(entry) as NftEntry);
}

// Drops handles, which the kernel assigns. Newer versions of nft print the flags of a statement as a list.
function normalise(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(normalise);
  if (value === null || typeof value !== 'object') return value;
  const fields = Object.entries(value).filter(([name]) => name !== 'handle');
  return Object.fromEntries(
    fields.map(([name, item]) => [
      name,
      name === 'flags' && Array.isArray(item) && item.length === 1 ? item[0] : normalise(item),
    ]),
  );
}

/** Whether two sets of objects are the same. The order counts only among the rules of a chain. */
export function sameNftTable(a: readonly NftEntry[], b: readonly NftEntry[]): boolean {
  return isDeepStrictEqual(inOrder(a), inOrder(b));
}

function inOrder(entries: readonly NftEntry[]): readonly NftEntry[] {
  const key = (entry: NftEntry): string => {
    const [kind = '', object] = Object.entries(entry)[0] ?? [];
    const { chain, name } = (object ?? {}) as { readonly chain?: JsonValue; readonly name?: JsonValue };
    return `${kind} ${JSON.stringify(chain ?? name)}`;
  };
  return entries.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

/** Whether a listing of chains (`nft -j list chains`) contains one of this table. */
export function hasChainOf({ family, name: table }: NftTable, entries: readonly NftEntry[]): boolean {
  return entries.some(({ chain }) =>
    v.is(v.object({ family: v.literal(family), table: v.literal(table) }), chain),
  );
}
