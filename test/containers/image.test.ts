// The container image: built from its Dockerfile without a network, and run as README says, by a real Docker with each
// variant of iptables.
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { AgentImage, readImageBase } from '../lab/engines/agent-image.ts';
import { type Docker, startDocker } from '../lab/engines/dockerd.ts';
import { IMAGE } from '../lab/engines/image.ts';
import { type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { readChapter, sectionsIn } from '../lab/page.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { ping } from '../lab/ping.ts';
import { labFolder } from '../lab/sweep.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { DOCKERS, needsDocker } from './docker-bed.ts';
import { RecipeHost } from './recipes.ts';

const base = await readImageBase();
const steps = sectionsIn(await readChapter('Install')).find(
  (section) => section.title === 'The container image',
)?.steps;
const release = DOCKERS.at(-1);
if (release === undefined) throw new Error('there is no Docker');
const NEED = allOf(needsDocker(release), ...['buildah', 'npm', 'git', 'iptables-legacy'].map(needsProgram), {
  missing: base.missing !== undefined,
  reason: base.missing ?? '',
});

/** Of the base without documentation, Node.js 20, the programs of the firewalls and the agent. */
const MOST_BYTES = 235_000_000;
const START_MS = 20_000;
const BUILD_MS = 180_000;
/** CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13. */
const TWO_CAPABILITIES = '0000000000003000';
const MACHINE_ID = '-v /etc/machine-id:/etc/machine-id:ro \\\n';

describe.skipIf(NEED.missing)(title('the container image', NEED), () => {
  let folder: string;
  let image: AgentImage;
  let first: { readonly output: string; readonly id: string };
  let archive: string;

  beforeAll(async () => {
    // A later lab removes it if this process is killed: it takes a gigabyte.
    folder = labFolder(`${process.pid}-0`);
    await mkdir(folder, { mode: 0o700 });
    archive = join(folder, 'twill.tar');
    image = await AgentImage.open(join(folder, 'engine'), base);
    first = await image.build();
    await image.save(archive);
  }, BUILD_MS);
  afterAll(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it(
    'two builds of one commit have the same bytes',
    async () => {
      expect((await image.build()).id).toBe(first.id);
    },
    BUILD_MS,
  );

  it('the image is small, and the build prints its size', async () => {
    expect(first.output).toMatch(new RegExp(`^${image.name} {2}[\\d.]+ MB, by buildah$`, 'm'));
    const { size } = await stat(archive);
    process.stdout.write(`${image.name}: ${Math.round(size / 1e6)} MB\n`);
    expect(size).toBeLessThan(MOST_BYTES);
  });

  it('the image has both variants of iptables and nft, and neither an identity nor a tool for builds', async () => {
    const found = await image.sh(
      'for name in iptables-nft iptables-legacy iptables nft node twill twilld npm cc; do command -v $name || :; done',
    );
    expect(found.split('\n')).toEqual([
      '/usr/sbin/iptables-nft',
      '/usr/sbin/iptables-legacy',
      '/usr/sbin/iptables',
      '/usr/sbin/nft',
      '/usr/local/bin/node',
      '/usr/bin/twill',
      '/usr/bin/twilld',
    ]);
    expect(
      await image.sh('ls -A /etc/machine-id /var/lib/dbus 2> /dev/null; ls -A /var/lib/apt/lists /var/log'),
    ).toBe('/var/lib/apt/lists:\n\n/var/log:');
  });

  it('the labels say what the image is', async () => {
    const inspected = JSON.parse(await image.buildah('inspect', '--type=image', image.name));
    const { created, config: settings } = inspected.OCIv1;
    const { version, description, license } = JSON.parse(
      await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8'),
    );
    const [revision, seconds] = (await run(['git', '-C', PROJECT_ROOT, 'log', '-1', '--format=%H %ct']))
      .trim()
      .split(' ');
    const time = new Date(Number(seconds) * 1_000);
    const label = (name: string): unknown => settings.Labels[`org.opencontainers.image.${name}`];
    expect([label('title'), label('version'), label('description'), label('licenses')]).toEqual([
      'twill',
      version,
      description,
      license,
    ]);
    expect([label('revision'), label('created')]).toEqual([revision, time.toISOString()]);
    expect(new Date(created)).toEqual(time);
    expect(settings.Entrypoint).toEqual(['twill']);
  });

  it('the list of parts names all packages of Debian, Node.js, and the npm packages', async () => {
    const [name] = (await readdir(join(PROJECT_ROOT, 'dist/image'))).filter((each) => each.endsWith('.json'));
    const text = await readFile(join(PROJECT_ROOT, 'dist/image', name ?? ''), 'utf8');
    const { bomFormat, components } = JSON.parse(text);
    const purls: readonly string[] = components.map(({ purl }: { readonly purl: string }) => purl);
    expect(bomFormat).toBe('CycloneDX');
    const debian = Number(await image.sh('dpkg-query --show | wc -l'));
    expect(purls.filter((purl) => purl.startsWith('pkg:deb/debian/'))).toHaveLength(debian);
    expect(purls).toContain(`pkg:generic/node@${process.versions.node}`);
    expect(
      purls.filter((purl) => purl.startsWith('pkg:npm/')).map((purl) => purl.replace(/@[^@]*$/, '')),
    ).toEqual(
      [
        'dgram-native',
        '%40koromix/koffi-linux-x64',
        'ipaddr.js',
        'koffi',
        'loglevel',
        'netlink',
        'node-gyp-build',
      ]
        .concat(['prom-client', 're2js', 'valibot', 'yaml'])
        .map((each) => `pkg:npm/${each}`),
    );
  });

  describe(`on two hosts with ${release.title}, one of them with the old iptables`, () => {
    let lab: Lab;
    let etcd: LabEtcd;
    let dockers: readonly Docker[];
    let hosts: readonly RecipeHost[];

    beforeAll(async () => {
      lab = await openLab({ hosts: 2 });
      etcd = await startLabEtcd(lab);
      await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
      dockers = await Promise.all(
        lab.hosts.map(async (host, place) => {
          const docker = await startDocker(host, release, { flags: [], legacyIptables: place === 1 });
          await docker.cli('tag', IMAGE, 'busybox');
          await docker.cli('load', '--quiet', '--input', archive);
          return docker;
        }),
      );
      hosts = await Promise.all(lab.hosts.map((host) => RecipeHost.open(host, release.path)));
    });
    afterAll(() => lab?.close());

    const [agents, containers] = steps ?? [];
    if (agents === undefined || containers === undefined) throw new Error('README has not both steps');

    /** Starts the agents as README says, with another script, and waits until they are ready. */
    const startAgents = async (change: (script: string) => string = (script) => script): Promise<void> => {
      for (const docker of dockers) await docker.exec(['rm', '-f', 'twill']);
      for (const host of hosts)
        await host.run({ ...agents, script: change(agents.script) }, { ETCD: etcd.url });
    };
    const logOf = async (docker: Docker): Promise<string> => {
      const { stdout, stderr } = await docker.exec(['logs', 'twill']);
      return `${stdout}${stderr}`;
    };
    const says = (docker: Docker, pattern: RegExp): Promise<string> =>
      waitFor(`the agent of ${docker.host.name} says ${pattern}`, START_MS, async () => {
        const log = await logOf(docker);
        return pattern.test(log) && log;
      });
    const leases = async (
      prefix = '/coreos.com/network',
    ): Promise<ReadonlyMap<string, { readonly ID: string; readonly MAC: string }>> => {
      const lines = (await etcd.etcdctl('get', '--prefix', `${prefix}/subnets/`)).trim().split('\n');
      return new Map(
        lines.flatMap((key, i) => (i % 2 === 0 ? [[key, JSON.parse(lines[i + 1] ?? '{}').Node]] : [])),
      );
    };

    it('README starts the agents and containers, which reach each other', async () => {
      expect(agents.script).toContain(image.name);
      await startAgents();
      for (const docker of dockers) await says(docker, / ready: /);
      for (const host of hosts) await host.run(containers, { ETCD: etcd.url });
      const [one, two] = await Promise.all(dockers.map((docker) => docker.container('app')));
      if (one === undefined || two === undefined) throw new Error('there are no two containers');
      expect(one.address).toMatch(/^10\.5\./);
      expect((await ping(one.namespace, two.address)).received).toBeGreaterThan(0);
      expect((await ping(two.namespace, one.address)).received).toBeGreaterThan(0);
      const nodes = [...(await leases()).values()];
      expect(nodes).toHaveLength(2);
      expect(new Set(nodes.map(({ ID }) => ID)).size).toBe(2);
    });

    it('the agent chooses the variant of iptables that dockerd uses', async () => {
      const [one, two] = dockers;
      if (one === undefined || two === undefined) throw new Error('there are no two hosts');
      expect(await logOf(one)).not.toContain('iptables-legacy');
      expect(await logOf(two)).toContain('writes the iptables rules by iptables-legacy chains=DOCKER');
      expect(await one.host.namespace.run(['iptables-nft-save'])).toContain('-j FLANNEL-FWD');
      expect(await two.host.namespace.run(['iptables-nft-save'])).not.toContain('-j FLANNEL-FWD');
      expect(await two.host.namespace.run(['iptables-legacy-save'])).toContain('-j FLANNEL-FWD');
    });

    it('the agent has two capabilities, and cannot write its own file system', async () => {
      for (const docker of dockers) {
        const status = await docker.cli('exec', 'twill', 'cat', '/proc/1/status');
        for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
          expect(status).toMatch(new RegExp(`^${set}:\\s+${TWO_CAPABILITIES}$`, 'm'));
        const { stderr } = await docker.exec(['exec', 'twill', 'touch', '/etc/x', '/usr/x']);
        expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
        expect(await logOf(docker)).not.toMatch(/ (?:warn|error) /);
      }
    });

    it('the udp backend needs the device beside that', async () => {
      await etcd.etcdctl('put', '/udp/config', '{"Network":"10.6.0.0/16","Backend":{"Type":"udp"}}');
      const other = (script: string): string => `${script.trimEnd()} --etcd-prefix /udp\n`;
      await startAgents(other);
      for (const docker of dockers) await says(docker, /give the container the device \/dev\/net\/tun/);
      await startAgents((script) => other(script).replace(' -d ', ' -d --device /dev/net/tun '));
      for (const docker of dockers) await says(docker, / ready: .*udp/);
    });

    it('without the machine id of the host, two nodes are told apart all the same', async () => {
      await etcd.etcdctl(
        'put',
        '/bare/config',
        `{"Network":"10.7.0.0/16","Backend":{"Type":"vxlan","VNI":7,"Port":8477}}`,
      );
      await startAgents((script) => {
        expect(script).toContain(MACHINE_ID);
        return `${script.replace(MACHINE_ID, '').trimEnd()} --etcd-prefix /bare\n`;
      });
      for (const docker of dockers) await says(docker, / ready: /);
      const before = await leases('/bare');
      expect(new Set([...before.values()].map(({ MAC }) => MAC)).size).toBe(2);
      for (const docker of dockers) await docker.cli('restart', 'twill');
      for (const docker of dockers)
        await waitFor(
          'it is ready again',
          START_MS,
          async () => (await logOf(docker)).split(' ready: ').length === 3,
        );
      expect(await leases('/bare')).toEqual(before);
      const [one, two] = [...before.keys()].map((key) => /(10\.7\.\d+)\.0/.exec(key)?.[1]);
      for (const subnet of [one, two])
        for (const { host } of dockers)
          expect((await ping(host.namespace, `${subnet}.0`)).received).toBeGreaterThan(0);
    });

    it.each([
      ['NET_ADMIN', 0, /no permission \(CAP_NET_ADMIN is missing\)/],
      ['NET_RAW', 1, /iptables-legacy.*(?:Permission denied|not permitted|must be root)/],
    ])('without %s the agent says what it cannot do', async (name, place, complaint) => {
      await startAgents((script) => script.replace(` --cap-add ${name}`, ''));
      const docker = dockers[place];
      if (docker === undefined) throw new Error('there is no such host');
      await says(docker, complaint);
    });
  });
});
