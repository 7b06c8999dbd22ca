// Puts our rules into the variant of iptables that the container engines of this host use. The old iptables and the one
// on nftables have tables apart from each other, and the kernel asks both: an accept in one of them does not overrule
// Docker's drop in the other one. An agent in a container has iptables of its own, and an engine may have a PATH of its
// own, so that the default of the one says nothing about the other.
//
// Chains of engines tell which variant they use. Where both have some, our rules go into both. Where none has any, the
// default is the best guess, until an engine has started.
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { Firewall, FirewallRules } from '../model/firewall.ts';
import type { ReadTableSizes, RulesetReader, TableSizes } from '../model/ruleset.ts';
import { createIptablesFirewall } from './iptables.ts';
import { LIMITS } from './limits.ts';

export interface IptablesVariantsOptions {
  readonly exec: Exec;
  /** Output of `iptables --version`. */
  readonly version: string;
  readonly reader: Pick<RulesetReader, 'hasChain' | 'generation'>;
  readonly readSizes: ReadTableSizes;
  /** See `createIptablesFirewall`. */
  readonly keepsSource: boolean;
  readonly log: Logger;
}

/** In the table `filter`, before the first container starts: of Docker, kubelet, kube-proxy, netavark and CNI. */
const ENGINE_CHAINS = ['DOCKER', 'KUBE-FIREWALL', 'KUBE-FORWARD', 'NETAVARK_FORWARD', 'CNI-FORWARD'];

interface Variant {
  readonly title: 'iptables-nft' | 'iptables-legacy';
  readonly firewall: Firewall;
  /** A chain of an engine; undefined: there is none, or the variant's program does not run. */
  engineChain(signal?: AbortSignal): Promise<string | undefined>;
}

/** A firewall in the chains of iptables, in each variant that an engine uses. */
export function createIptablesVariants(options: IptablesVariantsOptions): Firewall {
  const { log } = options;
  const [newer, older] = [createNewVariant(options), createOldVariant(options)];
  const fallback = isOnNftables(options.version) ? newer : older;
  let inUse: readonly Variant[] = [fallback];
  const clean = new Set<Variant>();

  const choose = async (signal?: AbortSignal): Promise<void> => {
    const oldChain = await older.engineChain(signal);
    // Without an engine in the old iptables, the newer one is not asked where it is the default.
    const newChain =
      oldChain === undefined && fallback === newer ? undefined : await newer.engineChain(signal);
    const used = [...(newChain === undefined ? [] : [newer]), ...(oldChain === undefined ? [] : [older])];
    const chosen = used.length === 0 ? [fallback] : used;
    if (isDeepStrictEqual(titlesOf(chosen), titlesOf(inUse))) return;
    const reasons = [newChain, oldChain].filter((chain) => chain !== undefined).join(', ');
    log.info(`writes the iptables rules by ${titlesOf(chosen).join(' and ')}`, {
      chains: reasons === '' ? 'none of an engine' : reasons,
    });
    inUse = chosen;
  };

  // It tries once: a failure must not stop the maintenance of the rules in use.
  const cleanUnused = async (signal?: AbortSignal): Promise<void> => {
    for (const variant of [newer, older]) {
      if (inUse.includes(variant)) clean.delete(variant);
      if (inUse.includes(variant) || clean.has(variant)) continue;
      clean.add(variant);
      try {
        if (await variant.firewall.remove(signal))
          log.info(`removed the rules in ${variant.title}, which no engine uses`);
      } catch (error) {
        log.warn(`cannot remove old rules in ${variant.title}`, { error: messageOf(error) });
      }
    }
  };

  return {
    mode: 'iptables',
    isAnnounced: () => inUse.every(({ firewall }) => firewall.isAnnounced()),
    isConcerned: (change) => newer.firewall.isConcerned(change),
    async ensure(rules, signal) {
      await choose(signal);
      const outcomes = await Promise.all(inUse.map(({ firewall }) => firewall.ensure(rules, signal)));
      await cleanUnused(signal);
      return outcomes.includes('repaired') ? 'repaired' : 'present';
    },
    async remove(signal) {
      const removed = await Promise.all([newer, older].map(({ firewall }) => firewall.remove(signal)));
      return removed.includes(true);
    },
  };
}

function titlesOf(variants: readonly Variant[]): readonly string[] {
  return variants.map(({ title }) => title);
}

// The kernel tells its chains by their names, and a number that changes with each change.
function createNewVariant(options: IptablesVariantsOptions): Variant {
  const { exec, reader, keepsSource } = options;
  const isDefault = isOnNftables(options.version);
  const program = isDefault ? 'iptables' : 'iptables-nft';
  const version = isDefault ? options.version : options.version.replace('legacy', 'nf_tables');
  const firewall = createIptablesFirewall({ exec, program, version, reader, keepsSource });
  let kept: { readonly rules: FirewallRules; readonly generation: number | undefined } | undefined;
  let seen: { readonly generation: number | undefined; readonly chain: string | undefined } | undefined;
  let runs: boolean | undefined = isDefault ? true : undefined;
  return {
    title: 'iptables-nft',
    firewall: {
      ...firewall,
      // Beside the old iptables, whose changes nobody tells of, a look comes every few seconds.
      async ensure(rules, signal) {
        const generation = await reader.generation();
        if (isDeepStrictEqual(kept, { rules, generation })) return 'present';
        const outcome = await firewall.ensure(rules, signal);
        kept = { rules, generation };
        return outcome;
      },
    },
    async engineChain(signal) {
      const generation = await reader.generation();
      if (seen?.generation !== generation || seen === undefined) {
        let chain: string | undefined;
        for (const name of ENGINE_CHAINS)
          if (chain === undefined && (await reader.hasChain('filter', name))) chain = name;
        seen = { generation, chain };
      }
      if (seen.chain !== undefined) runs ??= await canRun(exec, program, signal);
      return runs === true ? seen.chain : undefined;
    },
  };
}

// Its program copies the whole table, so it runs only where the table has another size than at the last look, and not
// any more when it has found an engine: our rules beside one that has gone do no harm.
function createOldVariant(options: IptablesVariantsOptions): Variant {
  const { exec, readSizes, keepsSource } = options;
  const isDefault = !isOnNftables(options.version);
  const program = isDefault ? 'iptables' : 'iptables-legacy';
  const version = isDefault ? options.version : options.version.replace('nf_tables', 'legacy');
  const firewall = createIptablesFirewall({ exec, program, version, readSizes, keepsSource });
  let seen: { readonly sizes: TableSizes; readonly chain: string | undefined } | undefined;
  return {
    title: 'iptables-legacy',
    firewall: {
      ...firewall,
      // Where a table does not exist, a program that names it would make it.
      remove: async (signal) => (await readSizes())?.size !== 0 && firewall.remove(signal),
    },
    async engineChain(signal) {
      const sizes = (await readSizes())?.get('filter');
      if (sizes === undefined) return undefined;
      if (seen?.chain === undefined && !isDeepStrictEqual(seen?.sizes, sizes)) {
        const isLong = sizes.bytes > LIMITS.chainBytes;
        seen = { sizes, chain: isLong ? undefined : await findEngineChain(exec, program, signal) };
      }
      return seen?.chain;
    },
  };
}

// The search for obstacles tells of a program that is missing or fails, and of a table that is too long.
async function findEngineChain(
  exec: Exec,
  program: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const lock = String(LIMITS.iptablesLockSeconds);
  const { stdout } = await attempt(exec, program, ['-w', lock, '-t', 'filter', '-S'], signal);
  const names = new Set(Array.from(stdout.matchAll(/^-N (\S+)$/gm), ([, name]) => name));
  return ENGINE_CHAINS.find((name) => names.has(name));
}

async function canRun(exec: Exec, program: string, signal?: AbortSignal): Promise<boolean> {
  return (await attempt(exec, program, ['--version'], signal)).exitCode === 0;
}

async function attempt(
  exec: Exec,
  program: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<{ readonly exitCode: number; readonly stdout: string }> {
  try {
    return await exec(program, args, {
      timeoutMs: LIMITS.firewallCommandMs,
      outputBytes: LIMITS.chainBytes,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch {
    signal?.throwIfAborted();
    return { exitCode: 1, stdout: '' };
  }
}

function isOnNftables(version: string): boolean {
  return version.includes('nf_tables');
}
