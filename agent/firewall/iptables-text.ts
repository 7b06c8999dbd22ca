// Parses the output of iptables-save and plans the input of iptables-restore. Rules are compared as text: we write a
// rule exactly as iptables-save prints it. Pure.
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

/** One table as iptables-save printed it. */
export interface SavedTable {
  readonly chains: ReadonlySet<string>;
  /** All lines `-A <chain> …`, in order. */
  readonly rules: readonly string[];
}

// iptables-save quotes a comment with any other character.
const UNQUOTED = /^[\w-]+$/;

function formatComment(comment: string): string {
  const text = UNQUOTED.test(comment) ? comment : `"${comment.replaceAll(/["'\\]/g, '\\$&')}"`;
  return `-m comment --comment ${text}`;
}

const TARGETS = { return: 'RETURN', accept: 'ACCEPT', masquerade: 'MASQUERADE' } as const;

/** Formats a rule as iptables-save prints it, without its leading `-A <chain>`. */
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

/** Parses the tables in the output of iptables-save. Lines of other kinds are skipped. */
export function parseIptablesSave(text: string): ReadonlyMap<string, SavedTable> {
  const tables = new Map<string, SavedTable>();
  let chains = new Set<string>();
  let rules: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      chains = new Set();
      rules = [];
      tables.set(line.slice(1).trim(), { chains, rules });
    } else if (line.startsWith(':')) {
      chains.add(line.slice(1).split(' ', 1)[0] ?? '');
    } else if (line.startsWith('-A ')) {
      rules.push(line);
    }
  }
  return tables;
}

/**
 * Plans the input of iptables-restore that makes the chain as wanted, with one jump, first in the parent. Undefined:
 * nothing is to be done.
 */
export function planRestore(own: OwnChain, table: SavedTable | undefined): string | undefined {
  if (own.rules.length === 0) return planRemoval(own, table);
  const jump = `${own.parent} ${formatComment(own.comment)} -j ${own.name}`;
  const wanted = own.rules.map((rule) => `-A ${own.name} ${rule}`);
  const found = table?.rules.filter((rule) => rule.startsWith(`-A ${own.name} `)) ?? [];
  const inParent = table?.rules.filter((rule) => rule.startsWith(`-A ${own.parent} `)) ?? [];
  const jumps = inParent.filter((rule) => goesTo(rule, own.name));
  const isFirstAndOnly = jumps.length === 1 && inParent[0] === `-A ${jump}`;
  if (isFirstAndOnly && found.length === wanted.length && found.every((rule, i) => rule === wanted[i])) {
    return undefined;
  }
  return transaction(own, [
    // With --noflush, naming a chain creates or empties it, within the transaction.
    `:${own.name} - [0:0]`,
    ...wanted,
    ...jumps.map(deletionOf),
    `-I ${jump.replace(' ', ' 1 ')}`,
  ]);
}

// A chain can be deleted only if nothing calls it. Foreign calls are deleted too.
function planRemoval(own: OwnChain, table: SavedTable | undefined): string | undefined {
  if (table?.chains.has(own.name) !== true) return undefined;
  const calls = table.rules.filter((rule) => goesTo(rule, own.name) && !rule.startsWith(`-A ${own.name} `));
  return transaction(own, [...calls.map(deletionOf), `-F ${own.name}`, `-X ${own.name}`]);
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
