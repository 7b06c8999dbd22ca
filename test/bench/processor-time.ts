// The processor time of processes, as the kernel counts it.
import { readFile } from 'node:fs/promises';

/** The kernel reports hundredths of a second, at any internal tick rate. */
const TICK_MS = 10;

/** Milliseconds of processor time of the processes so far, of all their threads, in user and in kernel mode. */
export async function readProcessorMs(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8')));
  return stats.reduce((sum, stat) => sum + parseProcessorMs(stat), 0);
}

/** The same of one process, from its `/proc/PID/stat`. */
export function parseProcessorMs(stat: string): number {
  // The second field is the program's name in parentheses. It may contain `)`, so the third field follows the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime, stime] = fields.slice(11, 13).map(Number);
  return ((utime ?? Number.NaN) + (stime ?? Number.NaN)) * TICK_MS;
}
