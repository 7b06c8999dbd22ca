// Searches for obstacles again and again, and says what is new.
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../base/errors.ts';
import type { Exec } from '../../base/exec.ts';
import type { Logger } from '../../base/log.ts';
import type { NodeFirewall, Traffic } from '../../model/firewall.ts';
import type { ChainsInUse, ReadTableSizes, RulesetReader, TableSizes } from '../../model/ruleset.ts';
import { chainNameOf, findObstacles, mayObstruct, type ReadChains } from './obstacles.ts';

export interface ObstacleSearchDeps {
  readonly exec: Exec;
  readonly reader: RulesetReader;
  readonly readSizes: ReadTableSizes;
  readonly log: Logger;
  /** Told of the chains that matter: those that a search has read, and our own. */
  readonly chains?: ChainsInUse;
}

export interface ObstacleSearchOptions {
  /** Names of our own chains and of their parents. */
  readonly ownChains: readonly string[];
  /** Output of `iptables --version`; undefined: it is not installed. */
  readonly iptablesVersion: string | undefined;
}

export type ObstacleSearch = Pick<NodeFirewall, 'obstacles' | 'mayObstruct' | 'hasUnheardChange'>;

/** For a host on which no program can list rules. */
export const NO_OBSTACLES: ObstacleSearch = {
  obstacles: async () => [],
  mayObstruct: () => false,
  hasUnheardChange: async () => false,
};

/**
 * Creates a search that returns the obstacles that are faults, and logs the others when they appear. A failed search
 * keeps the last result: if a chain was deleted while it was read, another event follows.
 */
export function createObstacleSearch(
  { exec, reader, readSizes, log, chains }: ObstacleSearchDeps,
  { ownChains, iptablesVersion }: ObstacleSearchOptions,
): ObstacleSearch {
  // A distribution without the newer iptables has no other name for the old one.
  const isOldAlone = iptablesVersion !== undefined && !/nf_tables|legacy/.test(iptablesVersion);
  const program = isOldAlone ? 'iptables-save' : 'iptables-legacy-save';
  let faults: readonly string[] = [];
  let warnings: readonly string[] = [];
  let unseenBefore: readonly string[] = [];
  let failure: string | undefined;
  let readChains: ReadChains | undefined;
  const bulky = new Set<string>();
  /** Of the old iptables, before the last search. */
  let sizes: ReadonlyMap<string, TableSizes> | undefined;

  const search = async (traffic: Traffic, signal?: AbortSignal): Promise<void> => {
    sizes = await readSizes();
    const old = sizes && { program, sizes };
    const { obstacles, read, unseen } = await findObstacles({ exec, reader, old, bulky }, traffic, signal);
    const messages = (areFaults: boolean): readonly string[] =>
      obstacles.filter(({ isFault }) => isFault === areFaults).map(({ message }) => message);
    for (const message of messages(false)) if (!warnings.includes(message)) log.warn(message);
    for (const message of unseen) if (!unseenBefore.includes(message)) log.info(message);
    faults = messages(true);
    warnings = messages(false);
    unseenBefore = unseen;
    readChains = read;
    use(new Set([...ownChains, ...Array.from(read, chainNameOf)]));
    failure = undefined;
  };

  const use = (names: ReadonlySet<string> | undefined): void => {
    if (chains === undefined) return;
    const isSame = isDeepStrictEqual(names, chains.names);
    chains.names = names;
    if (!isSame) chains.changed();
  };

  return {
    async obstacles(traffic, signal) {
      try {
        await search(traffic, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const message = messageOf(error);
        if (message !== failure)
          log.info('cannot search for chains that drop packets of the network', { error: message });
        failure = message;
        readChains = undefined;
        use(undefined);
      }
      return faults;
    },
    mayObstruct: (change) => readChains === undefined || mayObstruct(change, readChains),
    hasUnheardChange: async () => !isDeepStrictEqual(await readSizes(), sizes),
  };
}
