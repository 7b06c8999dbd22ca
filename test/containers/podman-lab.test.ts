// The lab of Podman itself: it hides the machine from the containers, and leaves nothing behind.
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineContainer } from '../lab/engines/engine.ts';
import { type Podman, startPodman } from '../lab/engines/podman.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { NETNS_FOLDER } from '../lab/namespace.ts';
import { title } from '../support/needs.ts';
import { needsPodman, PODMAN_4, PODMAN_5 } from './podman-bed.ts';

const RELEASES = [PODMAN_4, PODMAN_5].map((release) => ({ release, name: release.title }));

for (const { release, name } of RELEASES) {
  const need = needsPodman(release);
  describe.skipIf(need.missing)(title(`the lab of ${name}`, need), () => {
    let lab: Lab;
    let podman: Podman;
    let container: EngineContainer;

    let mountsBefore: readonly string[];

    beforeAll(async () => {
      mountsBefore = await mounts();
      lab = await openLab({ hosts: 1 });
      podman = await startPodman(lab.host(1), release);
      container = await podman.run('web');
    });
    afterAll(() => lab?.close());

    it('a container sees the files of its image and no others', async () => {
      const names = (await container.exec(['ls', '/'])).split('\n');
      expect(names).toEqual(['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'www']);
    });

    it('the machine sees no mount of Podman or of a container', async () => {
      expect(await mounts()).toEqual(mountsBefore);
    });

    it('closing the lab ends all processes of Podman and of its containers', async () => {
      const before = await descendantsOf(podman.root.firstPid);
      expect(before.length).toBeGreaterThan(2);
      await lab.close();
      const left = await Promise.all(before.map((pid) => isRunning(pid)));
      expect(left.filter(Boolean)).toEqual([]);
    });
  });
}

async function mounts(): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  return lines.filter((line) => !line.includes(NETNS_FOLDER));
}

async function descendantsOf(ancestor: number): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const parents = new Map(await Promise.all(pids.map(async (pid) => [pid, await parentOf(pid)] as const)));
  const found = [ancestor];
  for (const parent of found) found.push(...pids.filter((pid) => parents.get(pid) === parent));
  return found;
}

async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)$/m.exec(await statusOf(pid))?.[1]);
}

async function isRunning(pid: number): Promise<boolean> {
  return /^State:\s+[^ZX]/m.test(await statusOf(pid));
}

async function statusOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
}
