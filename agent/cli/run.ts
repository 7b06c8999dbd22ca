// `twill run`: runs the agent until it is told to stop.
import { parseServiceManager } from '../observe/sd-notify.ts';
import type { AgentOptions } from '../options.ts';
import { resumeDataPlane } from '../resume.ts';
import type { CommandContext } from './context.ts';
import { requireNetAdmin } from './privilege.ts';

/** Runs the agent until the context's signal is aborted. */
export async function runCommand(options: AgentOptions, context: CommandContext): Promise<void> {
  await requireNetAdmin('run');
  // Loading the agent takes most of the start-up time, so packets move before that.
  const dataPlaneMemory = await resumeDataPlane(options);
  const { runAgent } = await import('../agent.ts');
  await runAgent(options, {
    signal: context.signal,
    serviceManager: parseServiceManager(context.environment, process.pid),
    dataPlaneMemory,
    version: context.readVersion(),
  });
}
