// Somebody fills the datastore: tens of thousands of malformed entries and of leases, and values of 1.4 MB. The agent
// starts among them, keeps what it knew, answers in time, and is right again when they are gone.
import { readFile, stat } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { HealthWatch } from '../lab/health-watch.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { labProgram } from '../lab/paths.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_ROOT, needsProgram, title } from '../support/needs.ts';

const NEED = allOf(NEEDS_ROOT, needsProgram('etcd'), needsProgram('etcdctl'));
const SUBNETS = '/coreos.com/network/subnets/';
const MALFORMED = 60_000;
const LEASES = 55_000;
const MEGABYTE = 1_000_000;
// etcd tells of all deletions of one request in one message. The machine may be busy with other things, too.
const SLOW_MS = 2_500;

// A program: writes the entries that its arguments name, in transactions, over the gateway of etcd's HTTP port.
const FILL = `
const [url, kind, count] = process.argv.slice(1);
const base64 = (text) => Buffer.from(text).toString('base64');
const entry = (i) => {
  if (kind === 'large') return ['large-' + i, 'x'.repeat(1_400_000)];
  if (kind === 'malformed') return ['junk-' + i, '{"PublicIP":' + i];
  const [a, b] = [10 + Math.floor(i / 256), i % 256];
  return ['10.' + a + '.' + b + '.0-24', JSON.stringify({ PublicIP: '172.16.' + a + '.' + b, BackendType: 'alloc' })];
};
(async () => {
  const batch = kind === 'large' ? 1 : 128;
  for (let first = 0; first < Number(count); first += batch) {
    const success = [];
    for (let i = first; i < Math.min(first + batch, Number(count)); i++) {
      const [key, value] = entry(i);
      success.push({ requestPut: { key: base64('${SUBNETS}' + key), value: base64(value) } });
    }
    const answer = await fetch(url + '/v3/kv/txn', { method: 'POST', body: JSON.stringify({ success }) });
    if (!answer.ok) throw new Error(await answer.text());
  }
})();`;

describe.skipIf(NEED.missing)(
  title('an agent whose datastore is flooded', NEED),
  { timeout: 180_000 },
  () => {
    let lab: Lab;
    let etcd: LabEtcd;
    let health: HealthWatch;

    beforeAll(async () => {
      lab = await openLab({ hosts: 1 });
      health = new HealthWatch(lab.host(1));
      etcd = await startLabEtcd(lab);
      // A large network: each of the leases has a subnet in it.
      await etcd.setNetwork({
        Network: '10.0.0.0/8',
        SubnetLen: 24,
        SubnetMax: '10.9.0.0',
        Backend: { Type: 'alloc' },
      });
    });
    afterAll(async () => {
      await lab?.close();
    });
    beforeEach(async () => {
      await etcd.etcdctl('del', '--prefix', SUBNETS);
    });

    const fill = (kind: 'large' | 'malformed' | 'leases', count: number): Promise<string> =>
      lab.router.run([process.execPath, '-e', FILL, etcd.url, kind, String(count)], { timeoutMs: 60_000 });
    const drop = (names: string): Promise<string> => etcd.etcdctl('del', '--prefix', `${SUBNETS}${names}`);
    const start = (): AgentProcess => {
      const agent = lab.host(1).startAgent([...etcd.flags, `--healthz-port=${HEALTHZ_PORT}`]);
      onTestFinished(async () => void (await agent.stop()));
      return agent;
    };
    const metric = async (name: string): Promise<number> => {
      const argv = [...labProgram('http-get'), `http://127.0.0.1:${HEALTHZ_PORT}/metrics`];
      const { stdout } = await lab.host(1).namespace.exec(argv, { timeoutMs: 10_000 });
      return Number(new RegExp(`^twill_${name} (\\d+)$`, 'm').exec(stdout)?.[1]);
    };
    const megabytes = async ({ pid }: AgentProcess): Promise<number> =>
      Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_000;
    /** The agent has answered all the time, is ready, and has said little. */
    const expectSound = async (agent: AgentProcess): Promise<void> => {
      const lines = await health.since(0);
      expect(lines.filter(({ path, tookMs }) => path === '/healthz' && tookMs >= SLOW_MS)).toEqual([]);
      expect((await health.last('/readyz'))?.status).toBe('200');
      expect((await stat(agent.logPath)).size).toBeLessThan(MEGABYTE / 10);
      expect(await megabytes(agent)).toBeLessThan(400);
    };

    it('an agent starts among malformed entries and huge values, and counts none when they are gone', async () => {
      await fill('malformed', MALFORMED);
      await fill('large', 30);
      const agent = start();
      await agent.waitReady(30_000);
      expect(await metric('malformed_entries')).toBe(MALFORMED + 30);
      await drop('large');
      await drop('junk');
      await waitFor(
        'no malformed entry is counted',
        20_000,
        async () => (await metric('malformed_entries')) === 0,
      );
      expect(await metric('leases')).toBe(1);
      await expectSound(agent);
    });

    it('an agent keeps its network while malformed entries and leases come and go', async () => {
      const agent = start();
      await agent.waitReady(30_000);
      await fill('malformed', MALFORMED);
      await fill('leases', LEASES);
      await waitFor('leases are left out', 30_000, async () => (await metric('left_out_leases')) > 0);
      expect(await metric('leases')).toBe(50_000);
      await drop('junk');
      await drop('10.1');
      await drop('10.2');
      await waitFor('a listing finds no lease to leave out', 40_000, async () => {
        return (await metric('left_out_leases')) === 0;
      });
      expect(await agent.log()).toContain('no lease is left out any more');
      await expectSound(agent);
    });
  },
);
