// firewalld, nftables.service and ufw write their rules anew beside an agent. Its own are back within a second, and the
// shipped service opens the tunnel port of firewalld.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OVERLAY } from '../lab/lab.ts';
import { configureTwill } from '../lab/systemd/install-twill.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { addContainer, UNIT, useHosts } from './bed.ts';
import { HEAL_MS, lostDuring, MANAGED, NEEDS_MANAGED, openPings, ROWS } from './beside-managers.ts';

const FIREWALLD = 'firewalld.service';
const NFTABLES = 'nftables.service';
const HEALTHZ_PORT = '8401';
const READYZ = [
  process.execPath,
  '-e',
  `fetch('http://127.0.0.1:${HEALTHZ_PORT}/readyz')
    .then(async (answer) => process.stdout.write(answer.status + ' ' + await answer.text()))`,
];
const PORT = '8472/udp';

describe.skipIf(NEEDS_MANAGED.missing)(title('a manager of the firewall', NEEDS_MANAGED), () => {
  const bed = useHosts(MANAGED);

  beforeAll(async () => {
    for (const system of bed().systems) {
      await configureTwill(system, {
        ...bed().settings,
        FLANNELD_IP_MASQ: 'true',
        FLANNELD_HEALTHZ_PORT: HEALTHZ_PORT,
      });
      await system.start(UNIT);
    }
  });

  describe.each(ROWS)('%s', (_, host) => {
    const system = () => bed().system(host);

    /** The rules of the agent in their places: the jumps come first in their chains. */
    const readRules = async (): Promise<string> => {
      const lines: (string | undefined)[] = [];
      for (const [table, chain] of [
        ['filter', 'FORWARD'],
        ['nat', 'POSTROUTING'],
      ]) {
        const saved = (await system().run('iptables-save', '-t', table ?? '')).split('\n');
        lines.push(saved.find((line) => line.startsWith(`-A ${chain} `)));
        lines.push(...saved.filter((line) => line.startsWith('-A FLANNEL-')));
      }
      const tables = (await system().run('nft', 'list', 'tables'))
        .split('\n')
        .filter((line) => /twill/.test(line));
      return [...lines, ...tables.toSorted()].join('\n');
    };
    // Searches for obstacles take a small part of the time while chains change and the result stays the same.
    const waitForReadyz = (answer: RegExp): Promise<void> =>
      expect.poll(() => system().host.namespace.run(READYZ), { timeout: 30_000 }).toMatch(answer);
    let rules = '';
    const waitForRules = (): Promise<void> => expect.poll(readRules, { timeout: HEAL_MS }).toBe(rules);

    beforeAll(async () => {
      rules = await readRules();
      expect(rules).toMatch(/^-A FORWARD .*FLANNEL-FWD\n-A FLANNEL-FWD /);
      expect(rules).toMatch(/\n-A POSTROUTING .*FLANNEL-POSTRTG\n-A FLANNEL-POSTRTG /);
      expect(rules).toContain('twill-tunnel');
    });

    it('our rules are back within a second after nftables.service flushed all of them', async () => {
      await using stream = await openPings(bed());
      await system().start(NFTABLES);
      await waitForRules();
      const lost = await lostDuring(stream, () => system().run('systemctl', 'reload', NFTABLES));
      await waitForRules();
      expect(lost).toBe(0);
      await system().run('systemctl', 'stop', NFTABLES);
      await waitForRules();
      expect(await stream.lost()).toBe(0);
    });

    describe('with firewalld', () => {
      const cmd = (...words: readonly string[]): Promise<string> => system().run('firewall-cmd', ...words);
      beforeAll(() => system().start(FIREWALLD));
      afterAll(() => system().run('systemctl', 'stop', FIREWALLD));

      it('packets of peers arrive with the shipped service in the zone, and not without it', async () => {
        await cmd('--permanent', '--zone=trusted', `--add-source=${OVERLAY}`);
        await cmd('--reload');
        await waitForRules();
        expect(await pings()).toBe(false);
        await cmd('--permanent', '--zone=public', '--add-service=twill');
        await cmd('--reload');
        await expect.poll(pings, { timeout: HEAL_MS }).toBe(true);
      });

      it('the node is not ready unless its network is a source of a zone that accepts', async () => {
        await cmd('--zone=trusted', `--remove-source=${OVERLAY}`);
        await waitForReadyz(/^503 .*firewalld drops .*--zone=trusted --add-source=/);
        await cmd('--zone=trusted', `--add-source=${OVERLAY}`);
        await waitForReadyz(/^200 /);
      });

      const CHANGES = {
        reload: () => cmd('--reload'),
        restart: async () => {
          await system().start(FIREWALLD, 'restart');
          await waitFor('firewalld answers', 10_000, async () => {
            return (await system().exec(['firewall-cmd', '--state'])).exitCode === 0;
          });
        },
      };

      it.each(['reload', 'restart'] as const)(
        'our rules are back within a second after a %s',
        async (verb) => {
          await using stream = await openPings(bed());
          const lost = await lostDuring(stream, CHANGES[verb]);
          process.stdout.write(`${host.title}, firewalld ${verb}: ${lost} packets lost\n`);
          await waitForRules();
          await waitForReadyz(/^200 /);
        },
      );

      it('our rules come first with its iptables back end, too, after a restart and a reload', async () => {
        const settings = '/etc/firewalld/firewalld.conf';
        await system().run('sed', '-i', 's/^FirewallBackend=.*/FirewallBackend=iptables/', settings);
        await using stream = await openPings(bed());
        for (const change of [CHANGES.restart, CHANGES.reload]) {
          await lostDuring(stream, change);
          await waitForRules();
        }
        expect(await system().run('iptables', '-S', 'FORWARD')).toMatch(/^-A FORWARD .*REJECT/m);
        await waitForReadyz(/^200 /);
      });
    });

    it('our rules come first again within a second after ufw was enabled, reloaded and disabled', async () => {
      await system().run('ufw', '--force', 'enable');
      await waitForRules();
      expect(await pings()).toBe(false);
      await system().run('ufw', 'allow', PORT);
      await expect.poll(pings, { timeout: HEAL_MS }).toBe(true);
      await using stream = await openPings(bed());
      for (const verb of ['reload', 'disable']) {
        const lost = await lostDuring(stream, () => system().run('ufw', verb));
        process.stdout.write(`${host.title}, ufw ${verb}: ${lost} packets lost\n`);
        await waitForRules();
      }
    });

    async function pings(): Promise<boolean> {
      const [one, two] = await Promise.all(bed().systems.map(addContainer));
      const ping = ['ping', '-n', '-c', '1', '-W', '0.3', two?.address ?? ''];
      return (await one?.namespace.exec(ping))?.exitCode === 0;
    }
  });
});
