// dockerd takes its flags from the file that the agent writes for it, and from its own daemon.json.
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { type Docker, startDocker } from '../lab/engines/dockerd.ts';
import { TWILL } from '../lab/paths.ts';
import { title } from '../support/needs.ts';
import { DOCKERS, needsDocker } from './docker-bed.ts';

const OPTIONS = '/run/flannel/docker';
const DAEMON_JSON = '/etc/docker/daemon.json';

/** What dockerd says of its own file beside our flags; undefined: it starts. */
const SETTINGS: readonly (readonly [json: string, dockerd: RegExp | undefined])[] = [
  ['{"bip":"SUBNET"}', /both as a flag and in the configuration file: bip/],
  ['{"mtu":1450,"ip-masq":false}', /both as a flag and in the configuration file: (?:mtu|ip-masq)/],
  ['{"mtu":null}', /both as a flag and in the configuration file: mtu/],
  ['{"bridge":"none"}', /mutually exclusive/],
  ['{"default-gateway":"10.99.0.1"}', /must belong to the master pool/],
  ['[]', /cannot unmarshal array/],
  ['{"fixed-cidr":"POOL","default-gateway":"GATEWAY","bridge":"","debug":false}', undefined],
  ['null', undefined],
  ['{"iptables":false,"fixed-cidr":"10.99.0.0/24"}', undefined],
];

describe.each(DOCKERS.map((release) => ({ release, name: title(release.title, needsDocker(release)) })))(
  '$name',
  ({ release }) => {
    describe.skipIf(needsDocker(release).missing)('and the file of its flags', () => {
      let cluster: Cluster;
      let docker: Docker;
      let subnet = '';
      let flags: readonly string[] = [];
      const host = () => cluster.lab.host(1);
      const run = (...argv: readonly string[]) => host().namespace.run(argv);

      beforeAll(async () => {
        cluster = await openCluster({
          hosts: 1,
          backend: { Type: 'vxlan' },
          containers: false,
          flags: ['--ip-masq', `--docker-opts-file=${OPTIONS}`],
        });
        subnet = (await host().waitForSubnetEnv()).subnet;
        // As systemd splits $DOCKER_OPTS in a unit.
        const words = await run('sh', '-c', `. ${OPTIONS}; printf '%s\n' $DOCKER_OPTS`);
        flags = words.trim().split('\n');
        docker = await startDocker(host(), release, { flags });
      });
      afterAll(async () => {
        await cluster[Symbol.asyncDispose]();
      });

      it('gives docker0 our subnet, containers our MTU, and leaves the masquerade to the agent', async () => {
        expect(await run('ip', '-4', '-o', 'address', 'show', 'dev', 'docker0')).toContain(` ${subnet} `);
        const container = await docker.run('web');
        expect(container.address).toBe(subnet.replace('.1/24', '.2'));
        expect(await container.exec(['cat', '/sys/class/net/eth0/mtu'])).toBe('1450');
        const rules = await run('iptables', '-t', 'nat', '-S', 'POSTROUTING');
        expect(rules).not.toMatch(/-o docker0 .*MASQUERADE/);
        await container.remove();
      });

      it('is not written where daemon.json says the same, and a running dockerd goes on', async () => {
        await writeFile(host().path(DAEMON_JSON), '{"bip":"10.5.34.1/24"}');
        const { pid } = docker.process;
        const refused = await host().namespace.exec([...TWILL, 'docker-opts', '-d', '/run/other']);
        expect(refused).toMatchObject({
          exitCode: 5,
          stderr: expect.stringMatching(
            /^twill: \/etc\/docker\/daemon\.json: .*"bip" is set there, too\nhint: /,
          ),
        });
        await expect(run('cat', '/run/other')).rejects.toThrow('No such file');
        expect([docker.process.pid, docker.process.isRunning]).toEqual([pid, true]);
        expect(await docker.cli('info', '--format', '{{.ID}}')).not.toBe('');
        await cluster.agent(1).stop();
        const agent = await cluster.startAgent(1);
        const lines = (await agent.log()).split('\n').filter((line) => line.includes(DAEMON_JSON));
        expect(lines).toEqual([
          expect.stringContaining('"bip" is set there, too; remove these settings from'),
        ]);
      });

      it.each(SETTINGS)('goes with daemon.json %s as docker-opts says', async (json, complaint) => {
        const text = json
          .replace('SUBNET', subnet)
          .replace('POOL', subnet.replace('.1/24', '.128/25'))
          .replace('GATEWAY', subnet.replace('.1/24', '.254'));
        await writeFile(host().path(DAEMON_JSON), text);
        const { exitCode } = await host().namespace.exec([...TWILL, 'docker-opts', '-d', '/run/other']);
        expect(exitCode).toBe(complaint === undefined ? 0 : 5);
        if (docker.process.isRunning) await docker.stop();
        const started = docker.start(flags);
        if (complaint === undefined) await started;
        else await expect(started).rejects.toThrow(complaint);
      });
    });
  },
);
