// The agent names no obstacle beside a Podman whose containers reach those of other hosts, where our rules are those of
// nftables: they overrule no chain of netavark.
import { describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { ping } from '../lab/ping.ts';
import { title } from '../support/needs.ts';
import { NETAVARKS, needsPodman, PODMAN_4, PODMAN_5, usePodmans } from './podman-bed.ts';

const READYZ = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz')
  .then(async (answer) => process.stdout.write(answer.status + ' ' + await answer.text()))`;
/** The agent searches within a second after a change. */
const QUIET_MS = 3_000;

const need = needsPodman(PODMAN_4, PODMAN_5);
describe.skipIf(need.missing)(title('a Podman beside our rules of nftables', need), () => {
  const bed = usePodmans(NETAVARKS, { network: { EnableNFTables: true } });

  it('the agent names no obstacle', async () => {
    for (const [from, to] of bed().pairs) {
      const { received, text } = await ping(from.namespace, to.address);
      expect(received, text).toBe(1);
    }
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    for (const [index, { host }] of bed().hosts.entries()) {
      expect(await host.namespace.run([process.execPath, '-e', READYZ])).toMatch(/^200 /);
      expect(
        await bed()
          .cluster.agent(index + 1)
          .log(),
      ).not.toMatch(/ (?:chain \S+ of|old iptables) /);
    }
  });
});
