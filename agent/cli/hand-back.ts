// `twill hand-back`: prepares this node's pods for kube-flannel, so that no address leaks when it deletes them.
import { handBack } from '../handoff/cni-hand-back.ts';
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';

/** Prints one line for each written file, and one about them all. */
export async function handBackCommand({ subnetFile }: AgentOptions, context: CommandContext): Promise<void> {
  const { written, kept, unclear } = await handBack(subnetFile);
  const lines = written.map(({ file, address }) => `+ file ${file} for the pod with ${address}`);
  lines.push(...unclear.map((address) => `  ${address} is reserved for no container: it stays so`));
  const count = written.length + kept;
  lines.push(`kube-flannel can delete the ${count} pods of this node: ${kept} were ready for it`);
  await context.print(lines.map((line) => `${line}\n`).join(''));
}
