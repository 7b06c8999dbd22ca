// Applies the rules with iptables, of either backend (nf_tables or legacy). It reads the state first and writes nothing
// if the state is as wanted. Otherwise it writes both tables in one run, each in one transaction, so that there is no
// moment without rules.
//
// It lists our chains and their parents by name: the cost does not grow with the rules of others. kube-proxy alone may
// have 100,000. iptables-save would print them all.
import { type Clock, systemClock } from '../base/clock.ts';
import { errnoOf } from '../base/errors.ts';
import type { Exec, ExecResult } from '../base/exec.ts';
import type { Firewall, FirewallRules } from '../model/firewall.ts';
import type { ReadTableSizes } from '../model/ruleset.ts';
import {
  callsOf,
  type FoundRules,
  formatIptablesRule,
  jumpOf,
  type OwnChain,
  parseRules,
  planRestore,
} from './iptables-text.ts';
import { LIMITS } from './limits.ts';
import { createOldTables } from './old-tables.ts';
import { failureOf, type ProgramRun, runProgram, runToSuccess } from './program.ts';

export interface IptablesOptions {
  readonly exec: Exec;
  /** Name of the program, to which `-save` and `-restore` are appended. Default: `iptables`. */
  readonly program?: string;
  /** Output of its `--version`. Default: it is asked. */
  readonly version?: string;
  /** For the old iptables. Default: each look reads the rules. */
  readonly readSizes?: ReadTableSizes;
  /** Default: that of the system. */
  readonly clock?: Clock;
}

/** Exit code of iptables when a chain does not exist. Refusals of the kernel and a held lock have others. */
const NO_CHAIN = 1;

/** A firewall in the iptables chains FLANNEL-POSTRTG (nat) and FLANNEL-FWD (filter). */
export function createIptablesFirewall(options: IptablesOptions): Firewall {
  const { exec, program = 'iptables', clock = systemClock } = options;
  const spare = createOldTables<OwnChain>(clock, options.readSizes ?? (async () => undefined));
  let version = options.version;
  const longParents = new Set<OwnChain['parent']>();

  const run = (
    purpose: string,
    file: string,
    args: readonly string[],
    rest: Pick<ProgramRun, 'input' | 'signal'>,
  ) => runToSuccess(exec, { purpose, file, args, packageName: 'iptables', ...rest });

  const readVersion = async (signal?: AbortSignal): Promise<string> => {
    version ??= await run('cannot read the version of iptables', program, ['--version'], { signal });
    return version;
  };

  const isOnNftables = (): boolean => version?.includes('nf_tables') === true;

  const commandOn = ({ table }: OwnChain, args: readonly string[], signal?: AbortSignal): ProgramRun => ({
    purpose: 'cannot read the iptables rules',
    file: program,
    args: ['-w', String(LIMITS.iptablesLockSeconds), '-t', table, ...args],
    packageName: 'iptables',
    outputBytes: LIMITS.chainBytes,
    signal,
  });

  const readOwn = async (own: OwnChain, signal?: AbortSignal): Promise<readonly string[] | undefined> => {
    const listing = commandOn(own, ['-S', own.name], signal);
    const result = await runProgram(exec, listing);
    if (result.exitCode === NO_CHAIN) return undefined;
    return parseRules(outputOf(listing, result));
  };

  const readParent = async (own: OwnChain, signal?: AbortSignal): Promise<readonly string[]> => {
    if (!longParents.has(own.parent)) {
      try {
        return parseRules(await runToSuccess(exec, commandOn(own, ['-S', own.parent], signal)));
      } catch (error) {
        if (errnoOf(error) !== 'EFBIG') throw error;
        longParents.add(own.parent);
      }
    }
    const first = parseRules(await runToSuccess(exec, commandOn(own, ['-S', own.parent, '1'], signal)));
    const jump = `-A ${own.parent} ${jumpOf(own)}`;
    if (first[0] === jump) return first;
    const words = ['-m', 'comment', '--comment', own.comment, '-j', own.name];
    const { exitCode } = await runProgram(exec, commandOn(own, ['-C', own.parent, ...words], signal));
    return exitCode === 0 ? [...first, jump] : first;
  };

  // The old iptables makes a table that is named and does not exist, with hooks that every packet passes.
  const mayHaveTable = async ({ table }: OwnChain, signal?: AbortSignal): Promise<boolean> => {
    await readVersion(signal);
    if (isOnNftables()) return true;
    const { stdout } = await runProgram(exec, {
      purpose: 'cannot read the tables of iptables',
      file: 'cat',
      args: ['/proc/net/ip_tables_names'],
      packageName: 'coreutils',
      signal,
    });
    return stdout.split('\n').includes(table);
  };

  const find = async (own: OwnChain, isRetry: boolean, signal?: AbortSignal): Promise<FoundRules> => {
    if (own.rules.length > 0) {
      const [parent, rules] = await Promise.all([readParent(own, signal), readOwn(own, signal)]);
      return { own: rules, parent, calls: [] };
    }
    const rules = (await mayHaveTable(own, signal)) ? await readOwn(own, signal) : undefined;
    if (rules === undefined) return NOT_FOUND;
    if (!isRetry) return { own: rules, parent: await readParent(own, signal), calls: [] };
    // Another chain calls ours, so that it could not be deleted.
    const args = ['-t', own.table];
    const saved = await run('cannot read the iptables rules', `${program}-save`, args, { signal });
    const calls = callsOf(own, parseRules(saved)).filter((rule) => !rule.startsWith(`-A ${own.name} `));
    return { own: rules, parent: [], calls };
  };

  // Another program may change the tables between our read and our write (for example, delete a jump that we delete).
  // The transaction then fails as a whole, and is planned again.
  const apply = async (chains: readonly OwnChain[], signal?: AbortSignal): Promise<boolean> => {
    for (let attempt = 1; ; attempt++) {
      const found = await Promise.all(chains.map((own) => find(own, attempt > 1, signal)));
      const input = chains.map((own, i) => planRestore(own, found[i] ?? NOT_FOUND) ?? '').join('');
      if (input === '') return attempt > 1;
      try {
        const args = ['--noflush', '-w', String(LIMITS.iptablesLockSeconds)];
        await run('cannot write the iptables rules', `${program}-restore`, args, { input, signal });
        return true;
      } catch (error) {
        if (attempt >= LIMITS.firewallAttempts || signal?.aborted === true) throw error;
      }
    }
  };

  return {
    mode: 'iptables',
    get isAnnounced() {
      return isOnNftables();
    },
    isConcerned(change) {
      const own = OWN_CHAINS.find(({ table }) => change.table === `ip ${table}`);
      if (own === undefined) return false;
      if (change.kind === 'table' || change.chain === own.name) return true;
      if (change.chain !== own.parent) return false;
      if (change.kind === 'chain') return change.isGone;
      // The kernel tells the whole rule, also of one that is gone.
      return change.mentions(own.name) || !(change.isGone || change.isBehind);
    },
    async ensure(rules, signal) {
      const hasRandomFully = rules.randomFully && supportsRandomFully(await readVersion(signal));
      const chains = ownChains(rules, hasRandomFully);
      const look = async (due: readonly OwnChain[]) => ((await apply(due, signal)) ? 'repaired' : 'present');
      return isOnNftables() || options.readSizes === undefined ? look(chains) : spare(chains, look);
    },
    remove: (signal) => apply(ownChains(NOTHING, false), signal),
  };
}

const NOT_FOUND: FoundRules = { own: undefined, parent: [], calls: [] };

function outputOf(run: ProgramRun, result: ExecResult): string {
  if (result.exitCode !== 0) throw failureOf(run, result);
  return result.stdout;
}

const NOTHING: FirewallRules = { postrouting: [], forward: [], randomFully: false };

function ownChains(rules: FirewallRules, randomFully: boolean): readonly OwnChain[] {
  const format = (list: FirewallRules['forward']): readonly string[] =>
    list.map((rule) => formatIptablesRule(rule, randomFully));
  const [postrouting, forward] = OWN_CHAINS;
  return [
    { ...postrouting, rules: format(rules.postrouting) },
    { ...forward, rules: format(rules.forward) },
  ];
}

const OWN_CHAINS = [
  { table: 'nat', parent: 'POSTROUTING', name: 'FLANNEL-POSTRTG', comment: 'flanneld masq' },
  { table: 'filter', parent: 'FORWARD', name: 'FLANNEL-FWD', comment: 'flanneld forward' },
] as const;

/** The names of our chains and of those that call them. */
export const IPTABLES_CHAINS: readonly string[] = OWN_CHAINS.flatMap(({ parent, name }) => [parent, name]);

/** Whether the output of `iptables --version` names a release with `--random-fully`: 1.6.2 or later. */
export function supportsRandomFully(version: string): boolean {
  const [, major, minor, patch] = /v(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined) return false;
  const number = Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch ?? 0);
  return number >= 1_006_002;
}
