// The agent's rules beside foreign ones on a running node. Only events can repair ours in time: the check without
// events comes every ten minutes.
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { LIMITS } from '../../agent/firewall/limits.ts';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { Namespace } from '../lab/namespace.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { type Cluster, useCluster } from './cluster.ts';

const HEAL_LIMIT_MS = 1_000;

const READYZ = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz')
  .then(async (answer) => process.stdout.write(answer.status + ' ' + await answer.text()))`;

const readyz = (namespace: Namespace): Promise<string> => namespace.run([process.execPath, '-e', READYZ]);

const JUMP = '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD';
const MASQ = '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG';

async function firstIn(namespace: Namespace, table: string, chain: string): Promise<string> {
  const saved = await namespace.run(['iptables-save', '-t', table]);
  return saved.split('\n').find((line) => line.startsWith(`-A ${chain} `)) ?? 'nothing';
}

const cluster = (nft: boolean): (() => Cluster) =>
  useCluster({
    hosts: 2,
    backend: { Type: 'host-gw' },
    network: { EnableNFTables: nft },
    flags: ['--ip-masq', '--iptables-resync=600'],
  });

describe.skipIf(NEEDS_CLUSTER.missing)(title("the agent's rules of iptables", NEEDS_CLUSTER), () => {
  const running = cluster(false);

  it.each([
    { rule: '-j REJECT', table: 'filter', chain: 'FORWARD', first: JUMP },
    { rule: '-s 10.5.0.0/16 -j DROP', table: 'filter', chain: 'FORWARD', first: JUMP },
    { rule: '-j MASQUERADE', table: 'nat', chain: 'POSTROUTING', first: MASQ },
  ])(
    'our rules are first again after $rule was inserted before them',
    async ({ rule, table, chain, first }) => {
      const { namespace } = running().lab.host(1);
      await namespace.run(['iptables', '-t', table, '-I', chain, ...rule.split(' ')]);
      expect(await firstIn(namespace, table, chain)).toContain(rule);
      await waitFor('our rules are first again', HEAL_LIMIT_MS, async () => {
        return (await firstIn(namespace, table, chain)) === first;
      });
      const { address } = running().container(2);
      const ping = ['ping', '-n', '-c', '1', '-W', '1', address];
      expect((await running().container(1).namespace.exec(ping)).exitCode).toBe(0);
    },
  );

  it('our rules are repaired ever less often if another program insists on the first place', async () => {
    const { namespace } = running().lab.host(2);
    const rule = ['-s', '192.0.2.1/32', '-j', 'DROP'];
    const endMs = systemClock.monotonicMs() + CONTEST_MS;
    let losses = 0;
    while (systemClock.monotonicMs() < endMs) {
      if ((await firstIn(namespace, 'filter', 'FORWARD')) === JUMP) {
        losses++;
        await namespace.exec(['iptables', '-D', 'FORWARD', ...rule]);
        await namespace.run(['iptables', '-I', 'FORWARD', ...rule]);
      }
      await systemClock.sleep(50);
    }
    // The first loss comes before any repair. Pauses of 1, 2 and 4 seconds follow the burst; the counter leaks one or
    // two repairs meanwhile.
    expect(losses).toBeGreaterThan(LIMITS.repairBackoff.burst);
    expect(losses).toBeLessThanOrEqual(1 + LIMITS.repairBackoff.burst + 5);
    const log = await running().agent(2).log();
    expect(log.match(/another program keeps changing our rules/g)).toHaveLength(1);
  }, 30_000);
});

/** Time for thirty repairs without the growing pause. */
const CONTEST_MS = 16_000;

describe.skipIf(NEEDS_CLUSTER.missing).each([{ firewall: 'iptables' }, { firewall: 'nftables' }])(
  title('foreign chains beside the rules of $firewall', NEEDS_CLUSTER),
  ({ firewall }) => {
    const running = cluster(firewall === 'nftables');

    afterEach(async () => {
      const { namespace } = running().lab.host(1);
      await namespace.exec(['nft', 'delete', 'table', 'inet', 'theirs']);
    });

    it('foreign chains that drop make the node not ready, and /readyz names them', async () => {
      const { namespace } = running().lab.host(1);
      expect(await readyz(namespace)).toMatch(/^200 /);
      await namespace.run(['nft', table('policy drop; ct state established accept;')]);
      const reason =
        /^503 .*chain theirs_fwd of nftables table inet theirs drops packets forwarded within 10\.5\.0\.0\/16/;
      await waitFor('/readyz names it', HEAL_LIMIT_MS, async () => reason.test(await readyz(namespace)));
      await namespace.run([
        'nft',
        'insert',
        'rule',
        'inet',
        'theirs',
        'theirs_fwd',
        'ip',
        'saddr',
        '10.5.0.0/16',
        'accept',
      ]);
      await waitFor('/readyz says 200', HEAL_LIMIT_MS, async () =>
        (await readyz(namespace)).startsWith('200 '),
      );
      await namespace.run(['nft', 'flush', 'chain', 'inet', 'theirs', 'theirs_fwd']);
      await waitFor('/readyz names it', HEAL_LIMIT_MS, async () => reason.test(await readyz(namespace)));
      await namespace.run(['nft', 'delete', 'table', 'inet', 'theirs']);
      await waitFor('/readyz says 200', HEAL_LIMIT_MS, async () =>
        (await readyz(namespace)).startsWith('200 '),
      );
    });

    it('foreign chains that may drop are only a warning', async () => {
      const { namespace } = running().lab.host(1);
      await namespace.run(['nft', table('policy drop; meta mark 7 accept;')]);
      await running()
        .agent(1)
        .waitForLine(/warn .*chain theirs_fwd of .* inet theirs may drop/, HEAL_LIMIT_MS);
      expect(await readyz(namespace)).toMatch(/^200 /);
    });
  },
);

const table = (rules: string): string =>
  `table inet theirs { chain theirs_fwd { type filter hook forward priority 10; ${rules} };\n}`;
