// Cgroups of a lab, in every hierarchy of version 1 and in version 2. A container's processes are found by them.
import { readdir, readFile, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

/** The folders of the cgroups whose names begin with `start`, at the top of each hierarchy. */
export async function cgroupsOf(start: string): Promise<string[]> {
  const hierarchies = [CGROUPS, ...(await childrenOf(CGROUPS))];
  const children = await Promise.all(hierarchies.map(childrenOf));
  return children.flat().filter((folder) => basename(folder).startsWith(start));
}

/** The processes in a cgroup and below it. */
export async function processesOf(cgroup: string): Promise<number[]> {
  const text = await readFile(join(cgroup, 'cgroup.procs'), 'utf8').catch(() => '');
  const own = text.split('\n').map(Number);
  const below = await Promise.all((await childrenOf(cgroup)).map(processesOf));
  return [...own, ...below.flat()].filter((pid) => pid > 0);
}

/** Removes a cgroup without processes, and those below it. */
export async function removeCgroup(cgroup: string): Promise<void> {
  for (const child of await childrenOf(cgroup)) await removeCgroup(child);
  await rmdir(cgroup).catch(() => undefined);
}

async function childrenOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}
