// The network file that the agent writes for Podman, read by Podman itself.
import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { NETWORK_FILES } from '../lab/engines/podman.ts';
import { NETWORK } from '../lab/engines/podman-network.ts';
import { title } from '../support/needs.ts';
import { needsPodman, PODMAN_4, PODMAN_5, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4, PODMAN_5);

// Podman takes the network of this name where nobody names another.
const DEFAULTS = [
  { how: 'as default_network', name: NETWORK },
  { how: "by the name of Podman's own", name: 'podman' },
] as const;

interface Network {
  readonly created: string;
}

describe.skipIf(NEED.missing).each(DEFAULTS)(title('a network file of the agent, $how', NEED), ({ name }) => {
  const path = `${NETWORK_FILES}/${name}.json`;
  const flags = ['--ip-masq', `--podman-network-file=${path}`];
  const kinds = [
    { name: 'Podman 4', release: PODMAN_4, network: name },
    { name: 'Podman 5', release: PODMAN_5, network: name },
  ];
  // The agent is ready when its files are written.
  const bed = usePodmans(kinds, { flags }, async () => undefined);

  it('a container without a named network is on the subnet, and keeps its source', async () => {
    for (const { host, web } of bed().hosts) {
      const { subnet, mtuBytes } = await host.waitForSubnetEnv();
      expect(web.address).toBe(subnet.replace(/\.1\/24$/, '.2'));
      expect(await web.namespace.run(['ip', 'link', 'show', 'eth0'])).toContain(` mtu ${mtuBytes} `);
    }
    for (const [from, to] of bed().pairs)
      expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
  });

  it('Podman shows the network as the file has it, and warns of nothing', async () => {
    for (const { host, podman } of bed().hosts) {
      const file = JSON.parse(await readFile(host.path(path), 'utf8')) as Network;
      const { stdout, stderr } = await podman.root.exec(['podman', 'network', 'inspect', name]);
      expect(stderr).toBe('');
      const [shown] = JSON.parse(stdout) as [Network];
      expect(Date.parse(shown.created)).toBe(Date.parse(file.created));
      expect({ ...shown, created: file.created }).toMatchObject(file);
    }
  });

  it('a restarted agent leaves the file alone, and mends an id and a name that Podman would not take', async () => {
    const { cluster, hosts } = bed();
    const [{ host, podman }] = hosts as [(typeof hosts)[number]];
    const file = host.path(path);
    const before = { text: await readFile(file, 'utf8'), stats: await stat(file, { bigint: true }) };
    await cluster.agent(1).stop();
    await cluster.startAgent(1);
    const { mtimeNs, ino } = await stat(file, { bigint: true });
    expect({ mtimeNs, ino }).toEqual({ mtimeNs: before.stats.mtimeNs, ino: before.stats.ino });

    for (const [key, value] of [
      ['id', 'abc'],
      ['name', 'another'],
    ] as const) {
      await cluster.agent(1).stop();
      const broken = { ...(JSON.parse(before.text) as object), [key]: value };
      await writeFile(file, JSON.stringify(broken));
      expect((await podman.root.exec(['podman', 'network', 'ls'])).stderr).toContain('level=warning');
      await cluster.startAgent(1);
      expect(await readFile(file, 'utf8')).toBe(before.text);
      expect((await podman.root.exec(['podman', 'network', 'ls'])).stderr).toBe('');
    }
  });
});
