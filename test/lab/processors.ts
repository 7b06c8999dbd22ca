// The processors that a process may use. Hosts of a lab share them, unlike separate machines.
import { readFile } from 'node:fs/promises';
import { run } from './namespace.ts';

/** The numbers of the processors that this process may use: 0, 1 and so on without a limit. */
export async function usableProcessors(): Promise<readonly number[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const ranges = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1]?.split(',') ?? [];
  return ranges.flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/**
 * Pins the processes of each group, with all their threads and later children, to one processor a group. Disposing of
 * it unpins them. Does nothing if there are more groups than processors.
 */
export async function holdToProcessors(groups: readonly (readonly number[])[]): Promise<AsyncDisposable> {
  const usable = await usableProcessors();
  const place = async (pids: readonly number[], processors: readonly number[]): Promise<void> => {
    if (groups.length > usable.length) return;
    for (const pid of pids)
      await run(['taskset', '--all-tasks', '--pid', '--cpu-list', processors.join(','), String(pid)]);
  };
  for (const [index, pids] of groups.entries()) await place(pids, usable.slice(index, index + 1));
  return { [Symbol.asyncDispose]: () => place(groups.flat(), usable) };
}
