// `twill plan`: prints the host state that the agent would make, and changes nothing.
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';

/** Prints one line for each object, in the words of `ip`. */
export async function planCommand(options: AgentOptions, context: CommandContext): Promise<void> {
  const { planHost } = await import('../host-plan.ts');
  await context.print(await planHost(options, context.signal));
}
