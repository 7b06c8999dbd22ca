// Docker masquerades as it does by default, and containers see each other's own addresses all the same.
import { describe, expect, it } from 'vitest';
import { sourceSeen } from '../lab/datagram.ts';
import { dockerFlags } from '../lab/engines/dockers.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { preferLegacyIptables } from '../lab/engines/private-etc.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { jumpsAreFirst, needsDocker, OLDEST_AND_NEWEST, useDockers } from './docker-bed.ts';

/** More than the agent's default of --iptables-resync. */
const RESYNC_MS = 10_000;

const ROWS = OLDEST_AND_NEWEST.flatMap((release) =>
  [false, true].map((legacyIptables) => ({
    release,
    legacyIptables,
    need: allOf(needsDocker(release), needsProgram('iptables-legacy')),
  })),
);

for (const { release, legacyIptables, need } of ROWS) {
  const name = `${release.title} that masquerades by ${legacyIptables ? 'iptables-legacy' : 'iptables-nft'}`;
  describe.skipIf(need.missing)(title(name, need), () => {
    const bed = useDockers({
      release,
      docker: (env) => ({
        flags: dockerFlags(env).filter((flag) => !flag.startsWith('--ip-masq')),
      }),
      prepare: async ({ hosts }) => {
        if (legacyIptables) for (const host of hosts) await preferLegacyIptables(host);
      },
    });

    // Nobody tells of changes of the old iptables: the agent looks at them from time to time.
    it('our rules are first after a start of dockerd', async () => {
      for (const host of bed().cluster.hosts)
        await waitFor(`our rules are first on ${host.name}`, RESYNC_MS, () => jumpsAreFirst(host));
    });

    it("a TCP server sees the own address of the other host's container", async () => {
      for (const [from, to] of bed().pairs) {
        expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
      }
    });

    it('the outside sees the address of the host', async () => {
      for (const number of [1, 2]) {
        const seen = sourceSeen(
          bed().container(number).namespace,
          bed().cluster.lab.outside,
          OUTSIDE_ADDRESS,
        );
        expect(await seen).toBe(bed().cluster.lab.host(number).address);
      }
    });

    it('without the rule of the agent the server sees the address of the tunnel', async () => {
      const [from, to] = [bed().container(1), bed().container(2)];
      const { namespace } = bed().cluster.lab.host(1);
      await bed().cluster.agent(1).stop();
      await namespace.run(['nft', 'delete', 'table', 'ip', 'twill-containers']);
      expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address.replace(/\d+$/, '0'));
    });
  });
}
