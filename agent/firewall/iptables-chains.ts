// Makes our chains in the tables of iptables as wanted, by either backend of the program (nf_tables or legacy).
//
// It reads the state first and writes nothing if it is as wanted. Otherwise it writes all tables in one run, each in
// one transaction, so that there is no moment without rules. It lists our chains and their parents by name: the cost
// does not grow with the rules of others. kube-proxy alone may have 100,000. iptables-save would print them all.
import { type Clock, systemClock } from '../base/clock.ts';
import { errnoOf } from '../base/errors.ts';
import type { Exec, ExecResult } from '../base/exec.ts';
import type { ReadTableSizes, RulesetChange, RulesetReader } from '../model/ruleset.ts';
import {
  callsOf,
  type FoundRules,
  goesTo,
  jumpsOf,
  jumpTo,
  type OwnTable,
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
  /** Tells whether a chain exists. Default: a run of the program for each chain does. */
  readonly reader?: Pick<RulesetReader, 'hasChain'>;
  /** For the old iptables. Default: each look reads the rules. */
  readonly readSizes?: ReadTableSizes;
  /** Default: that of the system. */
  readonly clock?: Clock;
}

export interface IptablesChains {
  /** Whether the program works on nftables; false before its version is known. */
  readonly isOnNftables: boolean;
  /** The output of the program's `--version`. */
  readVersion(signal?: AbortSignal): Promise<string>;
  /** Makes the tables hold our chains as wanted, unless it is known that they do. True: it changed something. */
  ensure(tables: readonly OwnTable[], signal?: AbortSignal): Promise<boolean>;
  /** Removes our chains from these tables. True: there were some. */
  remove(tables: readonly OwnTable[], signal?: AbortSignal): Promise<boolean>;
  /** The rules of a chain, as lines `-A <chain> …`; undefined: there is no such chain. */
  read(table: OwnTable['table'], chain: string, signal?: AbortSignal): Promise<readonly string[] | undefined>;
}

/** Exit code of iptables when a chain does not exist. Refusals of the kernel and a held lock have others. */
const NO_CHAIN = 1;

export function createIptablesChains(options: IptablesOptions): IptablesChains {
  const { exec, program = 'iptables', clock = systemClock, reader } = options;
  const spare = createOldTables<OwnTable>(clock, options.readSizes ?? (async () => undefined));
  let version = options.version;
  const longParents = new Set<OwnTable['parent']>();

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

  const commandOn = (
    { table }: Pick<OwnTable, 'table'>,
    args: readonly string[],
    signal?: AbortSignal,
  ): ProgramRun => ({
    purpose: 'cannot read the iptables rules',
    file: program,
    args: ['-w', String(LIMITS.iptablesLockSeconds), '-t', table, ...args],
    packageName: 'iptables',
    outputBytes: LIMITS.chainBytes,
    signal,
  });

  const readChain = async (
    own: Pick<OwnTable, 'table'>,
    name: string,
    signal?: AbortSignal,
  ): Promise<readonly string[] | undefined> => {
    const listing = commandOn(own, ['-S', name], signal);
    const result = await runProgram(exec, listing);
    if (result.exitCode === NO_CHAIN) return undefined;
    return parseRules(outputOf(listing, result));
  };

  const readParent = async (own: OwnTable, signal?: AbortSignal): Promise<readonly string[]> => {
    const { parent } = own;
    if (!longParents.has(parent)) {
      try {
        return parseRules(await runToSuccess(exec, commandOn(own, ['-S', parent], signal)));
      } catch (error) {
        if (errnoOf(error) !== 'EFBIG') throw error;
        longParents.add(parent);
      }
    }
    const jumps = jumpsOf(own);
    const rules: string[] = [];
    for (let place = 1; place <= Math.max(1, jumps.length); place++) {
      const line = await runToSuccess(exec, commandOn(own, ['-S', parent, String(place)], signal));
      rules.push(...parseRules(line));
    }
    if (jumps.length > 0 && jumps.every((jump, i) => jump === rules[i])) return rules;
    for (const chain of own.chains) {
      const jump = jumpTo(chain, own);
      if (rules.includes(jump)) continue;
      const words = ['-m', 'comment', '--comment', chain.comment, '-j', chain.name];
      const { exitCode } = await runProgram(exec, commandOn(own, ['-C', parent, ...words], signal));
      if (exitCode === 0) rules.push(jump);
    }
    return rules;
  };

  const mayHaveTable = async (table: string, signal?: AbortSignal): Promise<boolean> => {
    // The old iptables makes a table that is named and does not exist, with hooks that every packet passes.
    const { stdout } = await runProgram(exec, {
      purpose: 'cannot read the tables of iptables',
      file: 'cat',
      args: ['/proc/net/ip_tables_names'],
      packageName: 'coreutils',
      signal,
    });
    return stdout.split('\n').includes(table);
  };

  const read: IptablesChains['read'] = async (table, chain, signal) => {
    await readVersion(signal);
    const isOld = !isOnNftables();
    const mayBe = isOld ? mayHaveTable(table, signal) : (reader?.hasChain(table, chain) ?? true);
    return (await mayBe) ? readChain({ table }, chain, signal) : undefined;
  };

  // A chain that is not wanted is found by its jump where the parent is read anyway.
  const find = async (own: OwnTable, signal?: AbortSignal): Promise<FoundRules> => {
    const kept = own.chains.filter(({ rules }) => rules.length > 0);
    const [parent, ...listings] = await Promise.all([
      readParent(own, signal),
      ...kept.map(({ name }) => readChain(own, name, signal)),
    ]);
    const found = new Map<string, readonly string[]>();
    for (const { name } of own.chains) if (parent.some((rule) => goesTo(rule, name))) found.set(name, []);
    for (const [i, { name }] of kept.entries()) {
      const rules = listings[i];
      if (rules !== undefined) found.set(name, rules);
    }
    return { own: found, parent, calls: [] };
  };

  const findToRemove = async (own: OwnTable, isRetry: boolean, signal?: AbortSignal): Promise<FoundRules> => {
    const found = new Map<string, readonly string[]>();
    for (const { name } of own.chains) {
      const rules = await read(own.table, name, signal);
      if (rules !== undefined) found.set(name, rules);
    }
    if (found.size === 0) return { own: found, parent: [], calls: [] };
    if (!isRetry) return { own: found, parent: await readParent(own, signal), calls: [] };
    // Another chain calls ours, so that it could not be deleted.
    const args = ['-t', own.table];
    const saved = parseRules(
      await run('cannot read the iptables rules', `${program}-save`, args, { signal }),
    );
    const isOwn = (rule: string): boolean => own.chains.some(({ name }) => rule.startsWith(`-A ${name} `));
    return { own: found, parent: [], calls: callsOf(own, saved).filter((rule) => !isOwn(rule)) };
  };

  // Another program may change the tables between our read and our write (for example, delete a jump that we delete).
  // The transaction then fails as a whole, and is planned again.
  const apply = async (tables: readonly OwnTable[], signal?: AbortSignal): Promise<boolean> => {
    for (let attempt = 1; ; attempt++) {
      const plans = await Promise.all(
        tables.map(async (own) => {
          const isWanted = own.chains.some(({ rules }) => rules.length > 0);
          const found = isWanted ? await find(own, signal) : await findToRemove(own, attempt > 1, signal);
          return planRestore(own, found) ?? '';
        }),
      );
      const input = plans.join('');
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
    get isOnNftables() {
      return isOnNftables();
    },
    readVersion,
    async ensure(tables, signal) {
      if (isOnNftables() || options.readSizes === undefined) return apply(tables, signal);
      const look = async (due: readonly OwnTable[]) => ((await apply(due, signal)) ? 'repaired' : 'present');
      return (await spare(tables, look)) === 'repaired';
    },
    remove: (tables, signal) => apply(tables.map(emptied), signal),
    read,
  };
}

/** The same chains without rules. */
function emptied(own: OwnTable): OwnTable {
  return { ...own, chains: own.chains.map((chain) => ({ ...chain, rules: [] })) };
}

function outputOf(run: ProgramRun, result: ExecResult): string {
  if (result.exitCode !== 0) throw failureOf(run, result);
  return result.stdout;
}

/** Where our chains of one table are, and which chain calls them. */
export interface OwnPlace extends Pick<OwnTable, 'table' | 'parent'> {
  readonly chains: readonly { readonly name: string }[];
}

/** Whether a change that the kernel tells of may have undone our chains or their place. */
export function mayUndo(change: RulesetChange, { table, parent, chains }: OwnPlace): boolean {
  if (change.table !== `ip ${table}`) return false;
  if (change.kind === 'table' || chains.some(({ name }) => change.chain === name)) return true;
  if (change.chain !== parent) return false;
  if (change.kind === 'chain') return change.isGone;
  // The kernel tells the whole rule, also of one that is gone.
  return chains.some(({ name }) => change.mentions(name)) || !(change.isGone || change.isBehind);
}
