// Removes labs: ends the processes in their namespaces, deletes the namespaces, and removes their folders. The name
// alone, `tw-<tag>-…`, shows that something belongs to a lab. So the next lab can remove one whose process was killed.
import { readdir, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { exec } from '../../agent/base/exec.ts';
import { cgroupsOf, processesOf, removeCgroup } from './cgroups.ts';
import { NETNS_FOLDER } from './namespace.ts';
import { waitFor } from './wait.ts';

const PREFIX = 'tw-';

/** Name of a namespace or folder of the lab `tag`. */
export function labName(tag: string, part: string): string {
  return `${PREFIX}${tag}-${part}`;
}

/** The folder of the lab `tag`: logs, sockets, and what its datastore keeps. */
export function labFolder(tag: string): string {
  return join(tmpdir(), labName(tag, 'files'));
}

/** Whether anything of the lab `tag` exists. */
export async function labExists(tag: string): Promise<boolean> {
  return (await namespacesOf(tag)).length > 0 || (await exists(labFolder(tag)));
}

/** Removes everything of the lab `tag`. Returns whether there was anything. */
export async function removeLab(tag: string): Promise<boolean> {
  const hadAny = await labExists(tag);
  const names = await namespacesOf(tag);
  const cgroups = await cgroupsOf(labName(tag, ''));
  await endProcessesIn(names, cgroups);
  for (const cgroup of cgroups) await removeCgroup(cgroup);
  // One after the other: parallel deletions are no faster.
  for (const name of names) await exec('ip', ['netns', 'delete', name]);
  await rm(labFolder(tag), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  return hadAny;
}

/** Removes all open labs of this process. */
export async function removeOwnLabs(): Promise<void> {
  for (const tag of await tagsOf((pid) => pid === process.pid)) await removeLab(tag);
}

/** Removes the labs of processes that have ended; a tag begins with the id of its process. */
export async function sweepLeftovers(): Promise<void> {
  for (const tag of await tagsOf((pid) => !isAlive(pid))) await removeLab(tag);
}

async function tagsOf(isWanted: (pid: number) => boolean): Promise<ReadonlySet<string>> {
  const cgroups = (await cgroupsOf(PREFIX)).map((folder) => basename(folder));
  const names = [...(await list(NETNS_FOLDER)), ...(await list(tmpdir())), ...cgroups];
  const matches = names
    .map((name) => /^tw-((\d+)-(?:\d+|demo))-/.exec(name))
    .filter((match) => match !== null);
  return new Set(matches.filter(([, , pid]) => isWanted(Number(pid))).map(([, tag = '']) => tag));
}

async function namespacesOf(tag: string): Promise<string[]> {
  const start = labName(tag, '');
  return (await list(NETNS_FOLDER)).filter((name) => name.startsWith(start));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

// The containers of an engine are in network namespaces without a name, but in a cgroup of the lab.
async function endProcessesIn(names: readonly string[], cgroups: readonly string[]): Promise<void> {
  const inodes = new Set<string>();
  for (const name of names) {
    const found = await stat(join(NETNS_FOLDER, name)).catch(() => undefined);
    if (found !== undefined) inodes.add(`net:[${found.ino}]`);
  }
  if (inodes.size === 0 && cgroups.length === 0) return;
  await waitFor('processes of the lab end', 5_000, async () => {
    const inCgroups = await Promise.all(cgroups.map(processesOf));
    const pids = [...(await processesIn(inodes)), ...inCgroups.flat()];
    for (const pid of pids) kill(pid);
    return pids.length === 0;
  });
}

async function processesIn(inodes: ReadonlySet<string>): Promise<number[]> {
  const pids = (await list('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const links = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => '')));
  return pids.filter((_, index) => inodes.has(links[index] ?? ''));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended by itself.
  }
}

async function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
