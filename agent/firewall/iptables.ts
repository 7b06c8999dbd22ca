// Applies the rules with iptables, of either backend (nf_tables or legacy). It reads the state first and writes nothing
// if the state is as wanted. Otherwise it writes each table in one transaction, so that there is no moment without
// rules. It reads all tables at once, because naming a missing table makes the kernel create it.
import type { Exec } from '../base/exec.ts';
import type { Firewall, FirewallRules } from '../model/firewall.ts';
import { formatIptablesRule, type OwnChain, parseIptablesSave, planRestore } from './iptables-text.ts';
import { LIMITS } from './limits.ts';
import { type ProgramRun, runProgram, runToSuccess } from './program.ts';

export interface IptablesOptions {
  readonly exec: Exec;
  /** Name of the program, to which `-save` and `-restore` are appended. Default: `iptables`. */
  readonly program?: string;
}

/** A firewall in the iptables chains FLANNEL-POSTRTG (nat) and FLANNEL-FWD (filter). */
export function createIptablesFirewall({ exec, program = 'iptables' }: IptablesOptions): Firewall {
  let hasRandomFully: boolean | undefined;
  let savedBytes = 0;

  const run = (
    purpose: string,
    file: string,
    args: readonly string[],
    rest: Pick<ProgramRun, 'input' | 'signal'>,
  ) => runToSuccess(exec, { purpose, file, args, packageName: 'iptables', ...rest });

  // One input with a transaction for each table that is not as wanted; undefined: all are.
  const plan = async (chains: readonly OwnChain[], signal?: AbortSignal): Promise<string | undefined> => {
    const saved = await run('cannot read the iptables rules', `${program}-save`, [], { signal });
    savedBytes = saved.length;
    const tables = parseIptablesSave(saved);
    const inputs = chains.flatMap((chain) => planRestore(chain, tables.get(chain.table)) ?? []);
    return inputs.length === 0 ? undefined : inputs.join('');
  };

  // With ten thousand rules of kube-proxy, printing all of them takes fifty times as long as printing our two chains
  // and their parents. If a chain is not as wanted or cannot be listed, `plan` decides.
  const isPresentByName = async (chains: readonly OwnChain[], signal?: AbortSignal): Promise<boolean> => {
    if (savedBytes <= LIMITS.smallRuleSetBytes) return false;
    for (const chain of chains) {
      if (chain.rules.length === 0) return false;
      const rules: string[] = [];
      for (const name of [chain.parent, chain.name]) {
        const { exitCode, stdout } = await runProgram(exec, {
          ...listing(program, chain.table, name),
          signal,
        });
        if (exitCode !== 0) return false;
        rules.push(...stdout.split('\n').filter((line) => line.startsWith('-A ')));
      }
      if (planRestore(chain, { chains: new Set(), rules }) !== undefined) return false;
    }
    return true;
  };

  // Another program may change the tables between our read and our write (for example, delete a jump that we delete).
  // The transaction then fails as a whole, and is planned again.
  const apply = async (chains: readonly OwnChain[], signal?: AbortSignal): Promise<boolean> => {
    if (await isPresentByName(chains, signal)) return false;
    for (let attempt = 1; ; attempt++) {
      const input = await plan(chains, signal);
      if (input === undefined) return attempt > 1;
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
    async ensure(rules, signal) {
      if (rules.randomFully && hasRandomFully === undefined) {
        const version = await run('cannot read the version of iptables', program, ['--version'], { signal });
        hasRandomFully = supportsRandomFully(version);
      }
      const wanted = ownChains(rules, hasRandomFully === true);
      return (await apply(wanted, signal)) ? 'repaired' : 'present';
    },
    remove: (signal) => apply(ownChains(NOTHING, false), signal),
  };
}

function listing(program: string, table: string, chain: string): ProgramRun {
  return {
    purpose: 'cannot read the iptables rules',
    file: program,
    args: ['-w', String(LIMITS.iptablesLockSeconds), '-t', table, '-S', chain],
    packageName: 'iptables',
  };
}

const NOTHING: FirewallRules = { postrouting: [], forward: [], randomFully: false };

function ownChains(rules: FirewallRules, hasRandomFully: boolean): readonly OwnChain[] {
  const format = (list: FirewallRules['forward']): readonly string[] =>
    list.map((rule) => formatIptablesRule(rule, rules.randomFully && hasRandomFully));
  return [
    {
      table: 'nat',
      parent: 'POSTROUTING',
      name: 'FLANNEL-POSTRTG',
      comment: 'flanneld masq',
      rules: format(rules.postrouting),
    },
    {
      table: 'filter',
      parent: 'FORWARD',
      name: 'FLANNEL-FWD',
      comment: 'flanneld forward',
      rules: format(rules.forward),
    },
  ];
}

/** Whether the output of `iptables --version` names a release with `--random-fully`: 1.6.2 or later. */
export function supportsRandomFully(version: string): boolean {
  const [, major, minor, patch] = /v(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined) return false;
  const number = Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch ?? 0);
  return number >= 1_006_002;
}
