// A node gets another subnet while its dockerd runs, and dockerd is restarted with the flags of the agent's file.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dockerFlags } from '../lab/engines/dockers.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { SUBNETS_KEY } from '../lab/stored-leases.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { needsDocker, OLDEST_AND_NEWEST, useDockers } from './docker-bed.ts';

const OPTS_FILE = '/run/flannel/docker';
/** A lease of a node that does not exist. */
const OF_ANOTHER =
  '{"PublicIP":"192.168.77.99","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}}';

for (const release of OLDEST_AND_NEWEST) {
  const need = needsDocker(release);
  describe.skipIf(need.missing)(title(`${release.title} and another subnet`, need), () => {
    const bed = useDockers({ release, flags: ['--ip-masq', `--docker-opts-file=${OPTS_FILE}`] });
    const host = () => bed().cluster.lab.host(1);
    const flags = async (): Promise<readonly string[]> => {
      const text = await readFile(host().path(OPTS_FILE), 'utf8');
      return /^DOCKER_OPTS="(.*)"$/m.exec(text)?.[1]?.trim().split(' ') ?? [];
    };

    it('the file has the flags that a dockerd takes', async () => {
      const env = await host().waitForSubnetEnv();
      expect((await flags()).toSorted()).toEqual(dockerFlags(env).toSorted());
    });

    it('a restart of dockerd with live-restore loses no packet', async () => {
      const docker = bed().docker(1);
      await docker.restart([...(await flags()), '--live-restore']);
      await docker.cli('start', 'web');
      await using packets = new PingStream(
        bed().container(2),
        bed().container(1),
        join(host().folder, 'ping.log'),
      );
      await packets.flows();
      await docker.restart([...(await flags()), '--live-restore']);
      await packets.flows();
      expect(await packets.lost()).toBe(0);
    });

    it('a restart of dockerd moves docker0 and its containers to the new subnet', async () => {
      const before = await host().waitForSubnetEnv();
      const key = `${SUBNETS_KEY}${before.subnet.replace('.1/', '.0-')}`;
      await bed().cluster.etcd.etcdctl('put', key, OF_ANOTHER);
      const after = await waitFor('the node has another subnet', 20_000, async () => {
        const env = await host().subnetEnv();
        return env !== undefined && env.subnet !== before.subnet && env;
      });
      await bed().cluster.agent(1).waitReady();
      expect(await flags()).toContain(`--bip=${after.subnet}`);
      const docker = bed().docker(1);
      await docker.cli('stop', 'web');
      await docker.restart(await flags());
      await docker.cli('start', 'web');
      const web = await docker.container('web');
      expect(web.address).toBe(after.subnet.replace('.1/24', '.2'));
      const peer = bed().container(2);
      expect(await sourceSeenBy(web.address, peer.namespace)).toBe(peer.address);
      expect(await sourceSeenBy(peer.address, web.namespace)).toBe(web.address);
    });
  });
}
