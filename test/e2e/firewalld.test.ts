// A real firewalld on a node, with each of its backends. Only the tests start it: the machine's own stays stopped.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type Firewalld, startFirewalld } from '../lab/firewalld.ts';
import type { Host } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, needsProgram, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

const NEEDS = allOf(NEEDS_CLUSTER, ...['firewalld', 'firewall-cmd', 'dbus-daemon'].map(needsProgram));
const HEAL_LIMIT_MS = 1_000;
const READYZ = `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz')
  .then(async (answer) => process.stdout.write(answer.status + ' ' + await answer.text()))`;

describe.skipIf(NEEDS.missing).each([{ backend: 'nftables' }, { backend: 'iptables' }])(
  title('firewalld with its backend $backend', NEEDS),
  ({ backend }) => {
    const cluster = useCluster({
      hosts: 2,
      backend: { Type: 'host-gw' },
      flags: ['--ip-masq', '--iptables-resync=600'],
    });
    const host = (): Host => cluster().lab.host(1);
    const readyz = (): Promise<string> => host().namespace.run([process.execPath, '-e', READYZ]);
    const rulesAreFirst = async (): Promise<boolean> => {
      const isFirst = async (table: string, chain: string, own: string, rule: string): Promise<boolean> => {
        const saved = await host().namespace.run(['iptables-save', '-t', table]);
        const first = saved.split('\n').find((line) => line.startsWith(`-A ${chain} `));
        return first?.endsWith(`-j ${own}`) === true && saved.includes(`-A ${own} ${rule}`);
      };
      return (
        (await isFirst('filter', 'FORWARD', 'FLANNEL-FWD', '-d 10.5.0.0/16 ')) &&
        (await isFirst('nat', 'POSTROUTING', 'FLANNEL-POSTRTG', '-s 10.5.0.0/16 '))
      );
    };
    const pings = async (): Promise<boolean> => {
      const ping = ['ping', '-n', '-c', '1', '-W', '0.2', cluster().container(2).address];
      return (await cluster().container(1).namespace.exec(ping)).exitCode === 0;
    };
    let firewalld: Firewalld;

    beforeAll(async () => {
      await waitFor('packets pass', 5_000, pings);
      firewalld = await startFirewalld(host(), backend);
    });
    afterAll(async () => {
      await firewalld?.stop();
    });

    it('firewalld leaves our rules first after its start', async () => {
      await waitFor('our rules are first', HEAL_LIMIT_MS, rulesAreFirst);
    });

    it('/readyz names firewalld when it rejects packets that no rule of ours can save', async () => {
      if (backend === 'iptables') {
        await waitFor('packets pass', HEAL_LIMIT_MS, pings);
        expect(await readyz()).toMatch(/^200 /);
        return;
      }
      const reason = /^503 .*chain filter_FORWARD of nftables table inet firewalld drops /;
      await waitFor('/readyz names it', HEAL_LIMIT_MS, async () => reason.test(await readyz()));
      expect(await pings()).toBe(false);
    });

    it('firewalld lets packets pass when it trusts the network', async () => {
      const source = ['--zone=trusted', '--add-source=10.5.0.0/16'];
      await firewalld.cmd('--permanent', ...source);
      await firewalld.cmd(...source);
      await waitFor('the node is ready', HEAL_LIMIT_MS, async () => (await readyz()).startsWith('200 '));
      await waitFor('packets pass', HEAL_LIMIT_MS, pings);
    });

    it('firewalld leaves our rules first within a second after a reload', async () => {
      await firewalld.cmd('--reload');
      await waitFor('our rules are first', HEAL_LIMIT_MS, rulesAreFirst);
      await waitFor('packets pass', HEAL_LIMIT_MS, pings);
      await waitFor('the node is ready', HEAL_LIMIT_MS, async () => (await readyz()).startsWith('200 '));
    });
  },
);
