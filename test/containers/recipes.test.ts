// The recipes of README's chapter about containers run as they stand there, one after the other, on real engines.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DOCKER_FLAGS } from '../../agent/firewall/nftables-table.ts';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { type Docker, startDocker } from '../lab/engines/dockerd.ts';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { IMAGE } from '../lab/engines/image.ts';
import { NETWORK_FILES, type Podman, startPodman } from '../lab/engines/podman.ts';
import { readPodman4, readPodman5 } from '../lab/engines/podmans.ts';
import { readChapter, type Section, sectionsIn } from '../lab/page.ts';
import { ping } from '../lab/ping.ts';
import { allOf, NEEDS_CLUSTER, title } from '../support/needs.ts';
import { DOCKERS, needsDocker } from './docker-bed.ts';
import { RecipeHost, runRecipe } from './recipes.ts';

const CHAPTER = await readChapter('Containers');
const RECIPES = sectionsIn(CHAPTER);
/** The container with a web server on each host, which is `$PEER` for the other one. */
const SERVER = 'serve';

/** What is true after a recipe, beside the exit codes of its commands. */
type Check = (outputs: readonly string[]) => Promise<void>;

type Engine = 'docker' | 'podman';

/** The recipes whose commands are those of an engine, in the order of the page. Each needs a check. */
function recipesOf(
  engine: Engine,
  checks: Readonly<Record<string, Check>>,
): readonly (readonly [string, Section, Check])[] {
  const recipes = RECIPES.filter(({ steps }) => steps.some(({ script }) => script.includes(engine)));
  expect(recipes.map((recipe) => recipe.title)).toEqual(Object.keys(checks));
  return recipes.map((recipe) => [recipe.title, recipe, checks[recipe.title] as Check] as const);
}

/** A container and a peer with a web server see each other's own addresses. */
async function isReached(container: EngineContainer, peer: EngineContainer): Promise<void> {
  expect(await sourceSeenBy(peer.address, container.namespace)).toBe(container.address);
  expect((await ping(peer.namespace, container.address)).received).toBe(1);
}

it("the page names dockerd's flags for its nftables back end", () => {
  expect(CHAPTER).toContain(DOCKER_FLAGS);
});

const release = DOCKERS.at(-1);
if (release === undefined) throw new Error('there is no Docker');
const need = needsDocker(release);

describe.skipIf(need.missing)(title(`README with ${release.title}`, need), () => {
  let cluster: Cluster | undefined;
  let hosts: readonly RecipeHost[] = [];
  const dockers: Docker[] = [];

  beforeAll(async () => {
    cluster = await openCluster({
      hosts: 2,
      backend: { Type: 'vxlan' },
      flags: ['--ip-masq'],
      containers: false,
    });
    hosts = await Promise.all(cluster.lab.hosts.map((host) => RecipeHost.open(host, release.path)));
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  /** Starts the dockerd of a host with these flags, or starts it again without its containers. */
  async function startDockerd(number: number, flags: readonly string[]): Promise<void> {
    const before = dockers[number - 1];
    if (before === undefined) {
      const docker = await startDocker(hostOf(number).host, release as NonNullable<typeof release>, {
        flags,
      });
      dockers[number - 1] = docker;
      await docker.cli('tag', IMAGE, 'busybox');
    } else {
      const names = (await before.cli('ps', '-aq')).split('\n').filter((name) => name !== '');
      if (names.length > 0) await before.cli('rm', '-f', ...names);
      await before.restart(flags);
    }
    const server = await dockerOf(number).run(SERVER);
    await server.exec(['sh', '-c', 'echo hello > /www/index.html']);
  }

  const hostOf = (number: number): RecipeHost => hosts[number - 1] as RecipeHost;
  const dockerOf = (number: number): Docker => dockers[number - 1] as Docker;
  const serverOf = (number: number): Promise<EngineContainer> => dockerOf(number).container(SERVER);
  const subnetOf = async (number: number): Promise<string> =>
    (await hostOf(number).host.waitForSubnetEnv()).subnet;
  const run = (recipe: Section): Promise<readonly string[]> =>
    runRecipe(recipe, hosts, {
      peerOf: async (number) => (await serverOf(3 - number)).address,
      onStep: async (number) => {
        const flags = await hostOf(number).takeFlags();
        if (flags !== undefined) await startDockerd(number, flags);
      },
    });

  it.each(
    recipesOf('docker', {
      'docker0 on the whole subnet': async () => {
        for (const number of [1, 2]) {
          const text = await hostOf(number).host.namespace.run('ip -4 -o address show docker0'.split(' '));
          expect(text).toContain(` ${await subnetOf(number)} `);
        }
        await isReached(await serverOf(1), await serverOf(2));
      },
      'docker0 on one half, a network on the other': async () => {
        const app = await dockerOf(1).container('app');
        expect(app.address).toMatch(/\.130$/);
        await isReached(app, await serverOf(2));
        await isReached(await serverOf(1), await serverOf(2));
      },
      'Names, and a container on two networks': async () => {
        const both = await dockerOf(1).container('both');
        const format = '{{.NetworkSettings.Networks.web.IPAddress}}';
        await isReached(
          { ...both, address: await dockerOf(1).cli('inspect', '-f', format, 'both') },
          await serverOf(2),
        );
      },
      "A veth of one's own": async () => {
        const bare = await dockerOf(1).container('bare');
        await isReached(
          { ...bare, address: (await subnetOf(1)).replace(/\d+\/\d+$/, '100') },
          await serverOf(2),
        );
      },
      'Borrowed networks, and published ports': async (outputs) => {
        expect(outputs.map((text) => text.trim().split('\n').at(-1))).toEqual(['hello', 'hello']);
      },
      'macvlan beside the overlay': async () => undefined,
    }),
  )('%s', async (_, recipe, check) => check(await run(recipe)));
});

const podmanReleases = await Promise.all([readPodman5(), readPodman4()]);
const [podman5, podman4] = podmanReleases;
const podmanNeed = allOf(
  NEEDS_CLUSTER,
  ...podmanReleases.map(({ missing = '' }) => ({ missing: missing !== '', reason: missing })),
);

describe.skipIf(podmanNeed.missing)(title('README with Podman', podmanNeed), () => {
  // The last one is of the generation before netavark.
  const kinds = [{ release: podman5 }, { release: podman4 }, { release: podman4, backend: 'cni' }] as const;
  let cluster: Cluster | undefined;
  const hosts: RecipeHost[] = [];
  const podmans: Podman[] = [];
  const servers: EngineContainer[] = [];

  beforeAll(async () => {
    cluster = await openCluster({
      hosts: kinds.length,
      backend: { Type: 'vxlan' },
      flags: ['--ip-masq', `--cni-conf-file=${NETWORK_FILES}/10-twill.conflist`],
      containers: false,
      prepare: async (lab) => {
        for (const host of lab.hosts) await host.namespace.run(['mkdir', '-p', NETWORK_FILES]);
      },
    });
    for (const [index, { release, ...options }] of kinds.entries()) {
      const host = cluster.lab.host(index + 1);
      await host.waitForSubnetEnv();
      const podman = await startPodman(host, release, options);
      const recipes = await RecipeHost.open(host);
      await recipes.addProgram('podman', podman.root.command(['podman']));
      await podman.cli('tag', IMAGE, 'localhost/busybox');
      hosts.push(recipes);
      podmans.push(podman);
      if (index === 2) continue;
      const user = await podman.rootless();
      await user.cli('tag', IMAGE, 'localhost/busybox');
      await recipes.addProgram('podman', podman.root.command(['podman'], true), true);
    }
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  /** The container with a web server that h1, or another host, asks. */
  async function peerOf(number: number): Promise<EngineContainer> {
    const index = number === 1 ? 1 : 0;
    const known = servers[index];
    if (known !== undefined) return known;
    const server = await (podmans[index] as Podman).run(SERVER, '--network', 'web');
    servers[index] = server;
    await server.exec(['sh', '-c', 'echo hello > /www/index.html']);
    return server;
  }

  const run = (recipe: Section): Promise<readonly string[]> =>
    runRecipe(recipe, hosts, { peerOf: async (number) => (await peerOf(number)).address });

  it.each(
    recipesOf('podman', {
      'Podman: a network, and pods': async () => {
        await isReached(await (podmans[0] as Podman).container('app'), await peerOf(1));
        await isReached(await (podmans[0] as Podman).container('first'), await peerOf(1));
      },
      'Podman without root, and CNI': async (outputs) => {
        expect(outputs.map((text) => text.trim())).toEqual(['hello', 'hello', 'hello']);
      },
    }),
  )('%s', async (_, recipe, check) => check(await run(recipe)));
});
