// `twill podman network NAME`: a network of Podman on a part of this node's subnet.
import { formatPrefix } from '../model/ip.ts';
import type { CommandContext } from './context.ts';
import { type Engine, engineCommand } from './engine-network.ts';

// Names of containers answer on it, as people expect of a network with a name. Podman names the bridge: before 4.4 it
// takes no name for it, and it keeps the one that it chose. It has no option against its masquerade.
export const PODMAN: Engine = {
  program: 'podman',
  taken: ['bridge', 'host', 'none', 'default', 'private', 'container', 'ns', 'pasta', 'slirp4netns'],
  toleratesOverlay: false,
  create: ({ name, part, gateway, mtuBytes }) =>
    [
      ['network', 'create', '-d', 'bridge', '--subnet', formatPrefix(part), '--gateway', gateway],
      ['-o', `mtu=${mtuBytes}`],
      [name],
    ].flat(),
};

/** Prints the command, or runs it with --apply. */
export function podmanCommand(args: readonly string[], context: CommandContext): Promise<void> {
  return engineCommand(PODMAN, args, context);
}
