// Networks of real Docker daemons on parts of the lease, and what the agent says about networks that lie elsewhere.
//
//     h1:  docker0 10.5.N.0/25    `quarter` 10.5.N.128/26    `last` 10.5.N.192/26
//     h2:  docker0 10.5.M.0/25
import { beforeAll, describe, expect, it } from 'vitest';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import type { SubnetEnv } from '../lab/host.ts';
import { ping } from '../lab/ping.ts';
import { title } from '../support/needs.ts';
import { DOCKERS, needsDocker, useDockers } from './docker-bed.ts';
import { RecipeHost } from './recipes.ts';

/** A bridge that comes is named in the log after this time at most. */
const NOTICE_MS = 1_000;
const KEY = '/coreos.com/network/subnets/';

const flagsOfHalf = ({ subnet, mtuBytes }: SubnetEnv): readonly string[] => [
  `--bip=${subnet.replace('/24', '/25')}`,
  `--mtu=${mtuBytes}`,
  '--ip-masq=false',
];

for (const release of DOCKERS) {
  const need = needsDocker(release);
  describe.skipIf(need.missing)(title(`networks of ${release.title}`, need), () => {
    const bed = useDockers({ release, docker: (env) => ({ flags: flagsOfHalf(env) }) });
    const containers: EngineContainer[] = [];
    const agentSays = (pattern: RegExp): Promise<string> =>
      bed().cluster.agent(1).waitForLine(pattern, NOTICE_MS);

    /** Runs `twill` on h1. */
    async function twill(args: string): Promise<string> {
      const host = await RecipeHost.open(bed().cluster.lab.host(1), release.path);
      return host.run({ script: `twill ${args}`, place: 1, remark: '' }, {});
    }

    beforeAll(async () => {
      await twill('docker network quarter --part=3/4 --apply');
      await twill('docker network last --part=4/4 --apply');
      for (const network of ['quarter', 'last'])
        containers.push(
          await bed()
            .docker(1)
            .run(`in-${network}`, { options: [`--network=${network}`] }),
        );
    });

    it('each part of the lease reaches the other host, and is reached, with true sources', async () => {
      const peer = bed().container(2);
      expect(containers.map(({ address }) => address.split('.').at(-1))).toEqual(['130', '194']);
      for (const own of [bed().container(1), ...containers]) {
        expect(await sourceSeenBy(peer.address, own.namespace)).toBe(own.address);
        expect(await sourceSeenBy(own.address, peer.namespace)).toBe(peer.address);
      }
    });

    it('the parts of one host stay apart', async () => {
      const [quarter, last] = containers as [EngineContainer, EngineContainer];
      const { received } = await ping(quarter.namespace, last.address);
      expect(received).toBe(0);
    });

    it('a part that is taken is refused in one line', async () => {
      await expect(twill('docker network other --part=2/2')).rejects.toThrow(
        /twill: twd-(?:quarter|last) has 10\.5\.\d+\.\d+\/26, which overlaps 10\.5\.\d+\.128\/25/,
      );
      await expect(twill('docker network other --part=1/2')).rejects.toThrow(
        /twill: docker0 has 10\.5\.\d+\.1\/25/,
      );
    });

    it('a network elsewhere in the overlay is named within a second, with the remedy', async () => {
      await bed().docker(1).cli('network', 'create', '--subnet=10.5.250.0/24', 'astray');
      await agentSays(
        /WARN.* br-[\da-f]{12} has 10\.5\.250\.1\/24, which overlaps .*"twill docker network"/i,
      );
      await bed().docker(1).cli('network', 'rm', 'astray');
    });

    it('docker0 with a former subnet is named, with the remedy', async () => {
      const { cluster } = bed();
      const subnet = (await cluster.lab.host(1).waitForSubnetEnv()).subnet.replace('.1/24', '.0/24');
      await cluster.agent(1).stop('SIGTERM');
      const other =
        '{"PublicIP":"192.168.77.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:09"}}';
      await cluster.etcd.etcdctl('put', `${KEY}${subnet.replace('/', '-')}`, other);
      await cluster.startAgent(1);
      await agentSays(
        new RegExp(
          `docker0 still has ${subnet.replace('.0/24', '.1/25')} of this node's former subnet ${subnet}, .*--bip=10`,
        ),
      );
    });
  });
}
