// `twill run`: runs the agent until it is told to stop.
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';
import { requireNetAdmin } from './privilege.ts';

/** Runs the agent until the context's signal is aborted. */
export async function runCommand(options: AgentOptions, context: CommandContext): Promise<void> {
  // Concurrently: loading the agent takes most of the start-up time.
  const [{ runAgent }] = await Promise.all([import('../agent.ts'), requireNetAdmin('run')]);
  await runAgent(options, {
    signal: context.signal,
    notifySocket: context.environment['NOTIFY_SOCKET'] || undefined,
  });
}
