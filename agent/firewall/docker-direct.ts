// Keeps Docker from dropping the packets of peers to containers. Since release 28.2 Docker appends a rule to PREROUTING
// of iptables' table `raw` for each container, which drops packets to its address from every link but its bridge. A
// chain of ours comes first there, and accepts packets that come in by the links of peers.
//
// It is made only where Docker has such drops. Docker may use another variant of iptables than ours, or iptables where
// we use nftables: each variant is looked at, without a run of a program where it has no tables.
import { isDeepStrictEqual } from 'node:util';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { FirewallPart, FirewallRules } from '../model/firewall.ts';
import { containsPrefix, type Prefix, parsePrefix } from '../model/ip.ts';
import type { ReadTableSizes, RulesetReader, TableSizes } from '../model/ruleset.ts';
import { createIptablesChains, type IptablesChains, mayUndo } from './iptables-chains.ts';
import { formatIptablesRule, type OwnTable } from './iptables-text.ts';

export interface DockerDirectOptions {
  readonly exec: Exec;
  /** Output of `iptables --version`; undefined: it is not installed. */
  readonly version: string | undefined;
  readonly reader: RulesetReader;
  readonly readSizes: ReadTableSizes;
  readonly log: Logger;
}

const RAW = {
  table: 'raw',
  parent: 'PREROUTING',
  chains: [{ name: 'TWILL-DIRECT', comment: 'twill direct', rules: [] }],
} as const satisfies OwnTable;
const [OWN] = RAW.chains;

/** Docker 28.0.1 and later have this chain in the table `filter`, before the first container starts. */
const DOCKER_CHAIN = 'DOCKER-FORWARD';

/** The names of our chain and of the one that calls it. */
export const DIRECT_CHAINS: readonly string[] = [RAW.parent, OWN.name];

/** The chain TWILL-DIRECT in the table `raw` of both variants of iptables. Failures are logged: Docker may not drop. */
export function createDockerDirect(options: DockerDirectOptions): FirewallPart {
  const { log } = options;
  const variants = [createNewVariant(options), createOldVariant(options)];
  const failures = new Map<Variant, string>();

  // A look at one variant never stops the other one, nor the rest of the firewall.
  const guarded = async (variant: Variant, work: () => Promise<boolean>): Promise<boolean> => {
    try {
      const isChanged = await work();
      failures.delete(variant);
      return isChanged;
    } catch (error) {
      const message = messageOf(error);
      // Without the program of a variant, Docker does not use it either, unless it runs with a PATH of its own.
      const isMissing = errnoOf(error) === 'ENOENT';
      if (failures.get(variant) !== message)
        log[isMissing ? 'info' : 'warn']("cannot accept packets of peers before Docker's drops", {
          error: message,
        });
      failures.set(variant, message);
      // Another failure may pass by itself.
      if (!isMissing) variant.idle = undefined;
      return false;
    }
  };

  const ensure = async (variant: Variant, rules: FirewallRules, signal?: AbortSignal): Promise<boolean> => {
    const tables = await variant.tables();
    const isWanted = rules.direct.length > 0;
    const isIdle = tables !== undefined && isDeepStrictEqual([tables, isWanted], variant.idle);
    if (tables === NONE || (isIdle && !variant.isMade)) return false;
    variant.idle = [tables, isWanted];
    if (!isWanted) return remove(variant, signal);
    const isNew = !variant.isMade;
    if (isNew && !(await mayDrop(variant.chains, rules.direct[0]?.match.destination, signal))) return false;
    variant.isMade = true;
    const wanted = rules.direct.map((rule) => formatIptablesRule(rule, false));
    const isChanged = await variant.chains.ensure([{ ...RAW, chains: [{ ...OWN, rules: wanted }] }], signal);
    if (!isNew || !isChanged) return isChanged;
    log.info("packets of peers to containers are accepted before Docker's drops");
    return false;
  };

  const remove = async (variant: Variant, signal?: AbortSignal): Promise<boolean> => {
    variant.isMade = false;
    return (await variant.tables()) !== NONE && (await variant.chains.remove([RAW], signal));
  };

  return {
    async ensure(rules, signal) {
      const work = variants.map((variant) => guarded(variant, () => ensure(variant, rules, signal)));
      const changed = await Promise.all(work);
      signal?.throwIfAborted();
      return changed.includes(true) ? 'repaired' : 'present';
    },
    async remove(signal) {
      const removed = await Promise.all(variants.map((variant) => remove(variant, signal)));
      return removed.includes(true);
    },
    isConcerned(change) {
      if (variants.some(({ isMade }) => isMade) && mayUndo(change, RAW)) return true;
      if (change.isGone) return false;
      if (change.kind === 'chain') return change.table === 'ip filter' && change.chain === DOCKER_CHAIN;
      // The first drop of a Docker that has no such chain.
      return change.table === `ip ${RAW.table}` && change.chain === RAW.parent && !variants[0]?.isMade;
    },
  };
}

/** iptables on nftables, or the old one. */
interface Variant {
  readonly chains: IptablesChains;
  /** Whether our chain has been wanted here. It stays then: Docker may start again. */
  isMade: boolean;
  /** The tables at the last look, and whether our chain was wanted. The next look waits until either changes. */
  idle: readonly [Tables, boolean] | undefined;
  /** `NONE`: there are neither rules of Docker nor ours, for certain. */
  tables(): Promise<Tables>;
}

/** The sizes of the tables `filter` and `raw`; undefined: there is no need to know them. */
type Tables = readonly (TableSizes | undefined)[] | undefined;

const NONE: Tables = [];

// The kernel tells of the chains of nftables, one at a time.
function createNewVariant({ exec, version, reader }: DockerDirectOptions): Variant {
  const program = isOnNftables(version) ? 'iptables' : 'iptables-nft';
  const chains = createIptablesChains({ exec, program, version: NEW, reader });
  return { chains, isMade: false, idle: undefined, tables: async () => undefined };
}

function createOldVariant({ exec, version, readSizes }: DockerDirectOptions): Variant {
  const program = version === undefined || isOnNftables(version) ? 'iptables-legacy' : 'iptables';
  const chains = createIptablesChains({ exec, program, version: OLD, readSizes });
  const tables = async (): Promise<Tables> => {
    const sizes = await readSizes();
    const found = [sizes?.get('filter'), sizes?.get('raw')];
    return found.every((size) => size === undefined) ? NONE : found;
  };
  return { chains, isMade: false, idle: undefined, tables };
}

/** The part of a version that tells the variants apart. */
const [NEW, OLD] = ['(nf_tables)', '(legacy)'];

function isOnNftables(version: string | undefined): boolean {
  return version?.includes('nf_tables') === true;
}

async function mayDrop(
  chains: IptablesChains,
  subnet: Prefix | undefined,
  signal?: AbortSignal,
): Promise<boolean> {
  if ((await chains.read('filter', DOCKER_CHAIN, signal)) !== undefined) return true;
  // A former run of the agent has made it.
  if ((await chains.read(RAW.table, OWN.name, signal)) !== undefined) return true;
  const rules = await chains.read(RAW.table, RAW.parent, signal);
  return rules?.some((rule) => subnet !== undefined && isDropIn(rule, subnet)) ?? false;
}

function isDropIn(rule: string, subnet: Prefix): boolean {
  const text = / -d (\S+) .*-j DROP$/.exec(rule)?.[1];
  const destination = text === undefined ? undefined : parsePrefix(text);
  return destination !== undefined && containsPrefix(subnet, destination);
}
