// `twill cleanup`: removes from this host everything that the agent made, and nothing else.
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';
import { requireNetAdmin } from './privilege.ts';

/** Prints one line for each removed object. */
export async function cleanupCommand(options: AgentOptions, context: CommandContext): Promise<void> {
  await requireNetAdmin('cleanup');
  const { cleanupHost } = await import('../host-cleanup.ts');
  const removed = await cleanupHost(options, context.signal);
  await context.print(
    removed.length === 0 ? 'nothing to remove\n' : removed.map((line) => `${line}\n`).join(''),
  );
}
