// `twill plan`: prints the host state that the agent would make, or the changes that the kernel needs for it, and
// changes nothing. A running agent says the changes itself: it knows its subnet.

import { TwillError } from '../base/errors.ts';
import { parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { askAgent } from '../observe/status-client.ts';
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';

/** Prints one line for each object, in the words of `ip`. */
export async function planCommand(options: AgentOptions, context: CommandContext): Promise<void> {
  if (!options.diff) {
    const { planHost } = await import('../host-plan.ts');
    return context.print(await planHost(options, context.signal));
  }
  const asked = await askForChanges(options, context.signal);
  if (asked !== undefined) return context.print(changesText('of the running agent', asked));
  const { planChanges } = await import('../host-plan.ts');
  const { comment, changes } = await planChanges(options, context.signal);
  await context.print(`${comment}${changesText('no agent runs', changes)}`);
}

const answerForm = v.object({ changes: v.optional(v.array(v.string())), error: v.optional(v.string()) });

/** Undefined: no agent runs. */
async function askForChanges(
  { statusSocket }: AgentOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  if (statusSocket === undefined) return undefined;
  const answer = await askAgent(statusSocket, '/v1/diff', signal);
  if (answer === undefined) return undefined;
  const where = `the answer of the agent at ${statusSocket}`;
  const { changes, error = 'it says nothing of changes' } = parseJson(answerForm, answer.body, where, 'host');
  if (changes === undefined) throw new TwillError('host', `${where}: ${error}`);
  return changes;
}

function changesText(whose: string, changes: readonly string[]): string {
  const lines = changes.map((line) => `${line}\n`).join('');
  return `# ${whose}: ${changes.length === 0 ? 'the kernel needs no change' : `${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`}\n${lines}`;
}
