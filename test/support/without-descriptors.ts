// Takes the file descriptors away from this process, as other files of a busy program would.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** Runs `work` while the process can open only `free` more files. Needs prlimit. */
export async function withoutDescriptors<T>(free: number, work: () => Promise<T>): Promise<T> {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '';
  const first = openSync('/dev/null', 'r');
  const taken = [first];
  setLimit(`${first + 64}`);
  try {
    try {
      for (let count = 0; count < 1_000; count++) taken.push(openSync('/dev/null', 'r'));
    } catch {
      // None is left.
    }
    for (const fd of taken.splice(0, free)) closeSync(fd);
    return await work();
  } finally {
    for (const fd of taken) closeSync(fd);
    setLimit(soft);
  }
}

function setLimit(soft: string): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`]);
}
