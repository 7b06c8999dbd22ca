// Applies the tunnel filter with nft. Nodes that come and go cost no run of it.
//
// nft lists a rule in words of its own, which differ between versions. So later listings are compared with the one that
// follows a replacement.
import type { Exec } from '../base/exec.ts';
import type { AddressSets, RulesetReader } from '../model/ruleset.ts';
import type { TunnelFilter } from '../model/tunnel-filter.ts';
import { LIMITS } from './limits.ts';
import { type ProgramRun, runProgram, runToSuccess } from './program.ts';
import { formatTunnelTable, NODES_SET, TUNNEL_TABLE } from './tunnel-table.ts';

export interface TunnelFilterOptions {
  readonly exec: Exec;
  readonly reader: Pick<RulesetReader, 'hasTable'>;
  readonly sets: AddressSets;
  /** Seconds after which the rules stop to drop by themselves. Default: that of the limits. */
  readonly guardSeconds?: number;
}

/** A filter in the nftables table `ip twill-tunnel`. */
export function createTunnelFilter({
  exec,
  reader,
  sets,
  guardSeconds = LIMITS.tunnelGuardSeconds,
}: TunnelFilterOptions): TunnelFilter {
  const { family, name } = TUNNEL_TABLE;
  /** The listing of our last replacement. */
  let left: string | undefined;
  const nft = (args: readonly string[], signal?: AbortSignal): ProgramRun => ({
    purpose: 'cannot filter the tunnel port',
    file: 'nft',
    args,
    packageName: 'nftables',
    signal,
  });
  // Without the elements of sets.
  const list = async (signal?: AbortSignal): Promise<string | undefined> => {
    const { exitCode, stdout } = await runProgram(exec, nft(['-t', 'list', 'table', family, name], signal));
    return exitCode === 0 ? stdout : undefined;
  };
  const write = (text: string, signal?: AbortSignal): Promise<string> =>
    runToSuccess(exec, nft(cutArguments(text), signal));

  return {
    async replace(rules, nodes, signal) {
      left = undefined;
      await write(formatTunnelTable(rules, nodes, guardSeconds), signal);
      left = await list(signal);
    },
    change: (added, removed, signal) => sets.change(NODES_SET, added, removed, signal),
    async stands(signal) {
      return left !== undefined && (await list(signal)) === left;
    },
    async remove(signal) {
      left = undefined;
      if (!(await reader.hasTable(TUNNEL_TABLE))) return false;
      await write(`delete table ${family} ${name}`, signal);
      return true;
    },
    isConcerned: ({ table }) => table === `${family} ${name}`,
  };
}

// nft puts a space between its arguments. Linux takes 128 KiB in one, and nft cannot read the socket that Node passes
// as standard input.
function cutArguments(text: string): string[] {
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    const end = from + LIMITS.argumentBytes;
    const space = end < text.length ? text.lastIndexOf(' ', end) : text.length;
    parts.push(text.slice(from, space));
    from = space + 1;
  }
  return parts;
}
