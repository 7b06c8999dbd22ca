// `twill docker network NAME`: a user-defined network of Docker on a part of this node's subnet.
import { createHash } from 'node:crypto';
import { formatPrefix } from '../model/ip.ts';
import type { CommandContext } from './context.ts';
import { type Engine, engineCommand } from './engine-network.ts';

const OPTIONS = 'com.docker.network';

export const DOCKER: Engine = {
  program: 'docker',
  taken: ['bridge', 'host', 'none', 'default', 'container'],
  toleratesOverlay: true,
  create: ({ name, part, gateway, mtuBytes, ipMasq }) =>
    [
      ['network', 'create', '-d', 'bridge', '--subnet', formatPrefix(part), '--gateway', gateway],
      ['-o', `${OPTIONS}.bridge.name=${bridgeName(name)}`],
      ['-o', `${OPTIONS}.driver.mtu=${mtuBytes}`],
      ipMasq ? ['-o', `${OPTIONS}.bridge.enable_ip_masquerade=false`] : [],
      [name],
    ].flat(),
};

/** Prints the command, or runs it with --apply. */
export function dockerCommand(args: readonly string[], context: CommandContext): Promise<void> {
  return engineCommand(DOCKER, args, context);
}

/**
 * The bridge's name follows from that of the network alone, so that it is the same when the network is made again: the
 * name itself where it fits into the 15 letters of a link's name, else a digest of it.
 */
export function bridgeName(name: string): string {
  const isFit = /^[\w-]{1,11}$/.test(name);
  return `twd-${isFit ? name : createHash('sha256').update(name).digest('hex').slice(0, 11)}`;
}
