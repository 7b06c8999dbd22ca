// The engines of the demo: what is missing is unpacked, then any release starts on a host.
import { fillRoot } from './debian-root.ts';
import { startDocker } from './dockerd.ts';
import { type DockerSuite, dockerFlags, readDocker, rootsOfDocker } from './dockers.ts';
import type { StartEngine } from './engine.ts';
import { makeImage } from './image.ts';
import { startPodman } from './podman.ts';
import { NETWORK, writeNetworkFile } from './podman-network.ts';
import { PODMAN_5_ROOT, readPodman5 } from './podmans.ts';

export { engineCacheFolder } from './debian-root.ts';

export interface DemoEngine {
  /** `Docker 28.5.2`. */
  readonly title: string;
  readonly start: StartEngine;
}

/** By the names of `--engine`. Each throws an Error of one line where its programs cannot be had. */
const ENGINES: Readonly<Record<string, (say: (line: string) => void) => Promise<DemoEngine>>> = {
  docker: openDocker,
  podman: openPodman,
};

/** Unpacks what is missing of the engine. `say` is given a line for each step. */
export async function openEngine(name: string, say: (line: string) => void): Promise<DemoEngine> {
  const open = ENGINES[name];
  if (open === undefined) throw new Error(`the lab has no engine ${name}`);
  return open(say);
}

const DOCKER_OF_DEMO: DockerSuite = 'sid';

async function openDocker(say: (line: string) => void): Promise<DemoEngine> {
  for (const root of rootsOfDocker(DOCKER_OF_DEMO)) await fillRoot(root, say);
  await makeImage(say);
  const release = await readDocker(DOCKER_OF_DEMO);
  if (release.missing !== undefined) throw new Error(`${release.title}: ${release.missing}`);
  return {
    title: release.title,
    start: (host, env) => startDocker(host, release, { flags: dockerFlags(env) }),
  };
}

async function openPodman(say: (line: string) => void): Promise<DemoEngine> {
  await fillRoot(PODMAN_5_ROOT, say);
  await makeImage(say);
  const release = await readPodman5();
  if (release.missing !== undefined) throw new Error(`${release.title}: ${release.missing}`);
  return {
    title: release.title,
    async start(host) {
      await writeNetworkFile(host);
      return startPodman(host, release, { network: NETWORK });
    },
  };
}
