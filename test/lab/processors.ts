// Which processors of this machine a process may use. Hosts of a lab share them, as machines of their own never do.
import { availableParallelism } from 'node:os';
import { run } from './namespace.ts';

/**
 * Holds the processes of each group, with all their threads and what they start from now on, to the processor of its index.
 * Disposing of it lets them go. Does nothing where there are more groups than processors.
 */
export async function holdToProcessors(groups: readonly (readonly number[])[]): Promise<AsyncDisposable> {
  const all = availableParallelism();
  const place = async (pids: readonly number[], processors: string): Promise<void> => {
    if (groups.length > all) return;
    for (const pid of pids)
      await run(['taskset', '--all-tasks', '--pid', '--cpu-list', processors, String(pid)]);
  };
  for (const [processor, pids] of groups.entries()) await place(pids, String(processor));
  return { [Symbol.asyncDispose]: () => place(groups.flat(), `0-${all - 1}`) };
}
