// Plans the input of iptables-restore. Rules are compared as text: we write a rule exactly as iptables prints it. Pure.
import type { FirewallRule } from '../model/firewall.ts';
import { formatPrefix } from '../model/ip.ts';

/** Our chains in one table, which one chain of the kernel calls. */
export interface OwnTable {
  readonly table: 'nat' | 'filter' | 'raw';
  readonly parent: 'POSTROUTING' | 'FORWARD' | 'PREROUTING';
  /** In the order of their jumps, which are the first rules of the parent. */
  readonly chains: readonly OwnChain[];
}

export interface OwnChain {
  readonly name: string;
  /** Comment of the jump. */
  readonly comment: string;
  /** Rules without their leading `-A <chain>`. Empty: neither chain nor jump. */
  readonly rules: readonly string[];
  /** Another chain of ours calls it, and the parent does not. Default: false. */
  readonly isInner?: boolean;
}

/** The rules of the kernel that decide about a table of ours, as lines `-A <chain> …`. */
export interface FoundRules {
  /** Those of our chains that exist, in order, by the name of the chain. */
  readonly own: ReadonlyMap<string, readonly string[]>;
  /** Those of the parent, in order. In a long parent: the first ones, and our jumps where they stand elsewhere. */
  readonly parent: readonly string[];
  /** Rules of other chains that call ours, as far as they are known. */
  readonly calls: readonly string[];
}

// iptables quotes a comment with any other character.
const UNQUOTED = /^[\w-]+$/;

function formatComment(comment: string): string {
  const text = UNQUOTED.test(comment) ? comment : `"${comment.replaceAll(/["'\\]/g, '\\$&')}"`;
  return `-m comment --comment ${text}`;
}

// An accept sets up no mapping, so it only keeps the masquerades of the same table away.
const TARGETS = {
  return: 'RETURN',
  accept: 'ACCEPT',
  masquerade: 'MASQUERADE',
  'keep-source': 'ACCEPT',
} as const;

/** Formats a rule as iptables prints it, without its leading `-A <chain>`. */
export function formatIptablesRule(rule: FirewallRule, randomFully: boolean): string {
  const { source, notSource, destination, notDestination, inLink, notOutLink, mark } = rule.match;
  const words: string[] = [];
  if (source !== undefined) words.push(`-s ${formatPrefix(source)}`);
  if (notSource !== undefined) words.push(`! -s ${formatPrefix(notSource)}`);
  if (destination !== undefined) words.push(`-d ${formatPrefix(destination)}`);
  if (notDestination !== undefined) words.push(`! -d ${formatPrefix(notDestination)}`);
  if (inLink !== undefined) words.push(`-i ${inLink}`);
  if (notOutLink !== undefined) words.push(`! -o ${notOutLink}`);
  if (mark !== undefined) {
    words.push(`-m mark --mark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`);
  }
  words.push(formatComment(rule.comment), `-j ${TARGETS[rule.action]}`);
  if (rule.action === 'masquerade' && randomFully) words.push('--random-fully');
  return words.join(' ');
}

/** The rule that calls our chain. */
export function jumpTo({ name, comment }: OwnChain, { parent }: Pick<OwnTable, 'parent'>): string {
  return `-A ${parent} ${formatComment(comment)} -j ${name}`;
}

/** The rules that call our chains, as they are wanted. */
export function jumpsOf(own: OwnTable): readonly string[] {
  return own.chains
    .filter(({ rules, isInner }) => rules.length > 0 && isInner !== true)
    .map((chain) => jumpTo(chain, own));
}

/** The rules in a listing by `iptables -S` or iptables-save. Other lines are skipped. */
export function parseRules(listing: string): readonly string[] {
  return listing.split('\n').filter((line) => line.startsWith('-A '));
}

/**
 * Plans the input of iptables-restore that makes the chains as wanted, with one jump to each, first in the parent.
 * Undefined: nothing is to be done.
 */
export function planRestore(own: OwnTable, found: FoundRules): string | undefined {
  const kept = own.chains.filter(({ rules }) => rules.length > 0);
  const gone = own.chains.filter(({ name, rules }) => rules.length === 0 && found.own.has(name));
  const jumps = jumpsOf(own);
  const calls = callsOf(own, found.parent);
  const isInPlace = isSame(calls, jumps) && isSame(found.parent.slice(0, jumps.length), jumps);
  if (
    isInPlace &&
    gone.length === 0 &&
    kept.every((chain) => isSame(found.own.get(chain.name), linesOf(chain)))
  )
    return undefined;
  return transaction(own, [
    // With --noflush, naming a chain creates or empties it, within the transaction.
    ...kept.map(({ name }) => `:${name} - [0:0]`),
    ...kept.flatMap(linesOf),
    // A chain can be deleted only if nothing calls it. Foreign calls are deleted too.
    ...[...calls, ...found.calls].map((rule) => changed(rule, '-D')),
    ...jumps.toReversed().map((jump) => changed(jump, '-I')),
    ...gone.map(({ name }) => `-F ${name}`),
    ...gone.map(({ name }) => `-X ${name}`),
  ]);
}

function linesOf({ name, rules }: OwnChain): readonly string[] {
  return rules.map((rule) => `-A ${name} ${rule}`);
}

function isSame(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a?.length === b.length && a.every((rule, i) => rule === b[i]);
}

/** The rules that call a chain of ours. */
export function callsOf({ chains }: OwnTable, rules: readonly string[]): readonly string[] {
  return rules.filter((rule) => chains.some(({ name }) => goesTo(rule, name)));
}

// A jump to a user chain has no options, so the chain's name ends the line. A comment that looks like a jump is quoted.
export function goesTo(rule: string, chain: string): boolean {
  return rule.endsWith(` -j ${chain}`) || rule.endsWith(` -g ${chain}`);
}

function changed(rule: string, command: '-D' | '-I'): string {
  return `${command} ${rule.slice('-A '.length)}`;
}

function transaction({ table }: OwnTable, lines: readonly string[]): string {
  return `${[`*${table}`, ...lines, 'COMMIT'].join('\n')}\n`;
}
