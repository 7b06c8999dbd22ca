// Plans the input of iptables-restore. Rules are compared as text: we write a rule exactly as iptables prints it. Pure.
import type { FirewallRule } from '../model/firewall.ts';
import { formatPrefix } from '../model/ip.ts';

/** A chain of ours with its rules and the chain that calls it. */
export interface OwnChain {
  readonly table: 'nat' | 'filter';
  /** The kernel's chain whose first rule is the jump to ours. */
  readonly parent: 'POSTROUTING' | 'FORWARD';
  readonly name: string;
  /** Comment of the jump. */
  readonly comment: string;
  /** Rules without their leading `-A <chain>`. Empty: neither chain nor jump. */
  readonly rules: readonly string[];
}

/** The rules of the kernel that decide about a chain of ours, as lines `-A <chain> …`. */
export interface FoundRules {
  /** Those of our chain, in order; undefined: there is no such chain. */
  readonly own: readonly string[] | undefined;
  /** Those of the parent, in order. In a long parent: the first rule, and our jump where it stands elsewhere. */
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

const TARGETS = { return: 'RETURN', accept: 'ACCEPT', masquerade: 'MASQUERADE' } as const;

/** Formats a rule as iptables prints it, without its leading `-A <chain>`. */
export function formatIptablesRule(rule: FirewallRule, randomFully: boolean): string {
  const { source, notSource, destination, notDestination, mark } = rule.match;
  const words: string[] = [];
  if (source !== undefined) words.push(`-s ${formatPrefix(source)}`);
  if (notSource !== undefined) words.push(`! -s ${formatPrefix(notSource)}`);
  if (destination !== undefined) words.push(`-d ${formatPrefix(destination)}`);
  if (notDestination !== undefined) words.push(`! -d ${formatPrefix(notDestination)}`);
  if (mark !== undefined) {
    words.push(`-m mark --mark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`);
  }
  words.push(formatComment(rule.comment), `-j ${TARGETS[rule.action]}`);
  if (rule.action === 'masquerade' && randomFully) words.push('--random-fully');
  return words.join(' ');
}

/** The words of the jump to our chain, behind the parent's name. */
export function jumpOf(own: OwnChain): string {
  return `${formatComment(own.comment)} -j ${own.name}`;
}

/** The rules in a listing by `iptables -S` or iptables-save. Other lines are skipped. */
export function parseRules(listing: string): readonly string[] {
  return listing.split('\n').filter((line) => line.startsWith('-A '));
}

/**
 * Plans the input of iptables-restore that makes the chain as wanted, with one jump, first in the parent. Undefined:
 * nothing is to be done.
 */
export function planRestore(own: OwnChain, found: FoundRules): string | undefined {
  if (own.rules.length === 0) return planRemoval(own, found);
  const jump = `-A ${own.parent} ${jumpOf(own)}`;
  const wanted = own.rules.map((rule) => `-A ${own.name} ${rule}`);
  const jumps = callsOf(own, found.parent);
  const isFirstAndOnly = jumps.length === 1 && found.parent[0] === jump;
  const isSame = found.own?.length === wanted.length && found.own.every((rule, i) => rule === wanted[i]);
  if (isFirstAndOnly && isSame) return undefined;
  return transaction(own, [
    // With --noflush, naming a chain creates or empties it, within the transaction.
    `:${own.name} - [0:0]`,
    ...wanted,
    ...jumps.map(deletionOf),
    `-I ${own.parent} 1 ${jumpOf(own)}`,
  ]);
}

// A chain can be deleted only if nothing calls it. Foreign calls are deleted too.
function planRemoval(own: OwnChain, { own: rules, parent, calls }: FoundRules): string | undefined {
  if (rules === undefined) return undefined;
  const deletions = [...callsOf(own, parent), ...calls].map(deletionOf);
  return transaction(own, [...deletions, `-F ${own.name}`, `-X ${own.name}`]);
}

/** The rules that call our chain. */
export function callsOf(own: OwnChain, rules: readonly string[]): readonly string[] {
  return rules.filter((rule) => goesTo(rule, own.name));
}

// A jump to a user chain has no options, so the chain's name ends the line. A comment that looks like a jump is quoted.
function goesTo(rule: string, chain: string): boolean {
  return rule.endsWith(` -j ${chain}`) || rule.endsWith(` -g ${chain}`);
}

function deletionOf(rule: string): string {
  return `-D ${rule.slice('-A '.length)}`;
}

function transaction(own: OwnChain, lines: readonly string[]): string {
  return `${[`*${own.table}`, ...lines, 'COMMIT'].join('\n')}\n`;
}
