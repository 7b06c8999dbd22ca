// Foreign text that would move the cursor, hide, or change the order of what a terminal shows: no byte of it leaves the
// built program, whoever wrote it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { type ExecResult, exec } from '../../agent/base/exec.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openFileKv } from '../../agent/datastore/file-kv.ts';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { labProgram, TWILL } from '../lab/paths.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_ROOT, needsProgram, title } from '../support/needs.ts';
import { POISONED, poisonIn } from '../support/poison.ts';

const NEEDS_LAB = allOf(NEEDS_ROOT, needsProgram('iptables'));
const RUN_MS = 20_000;
/** Arguments and names hold no zero byte. */
const ARGUMENT = POISONED.replaceAll('\0', '');

const twill = (...args: readonly string[]): Promise<ExecResult> =>
  exec(TWILL[0], [TWILL[1], ...args], { timeoutMs: RUN_MS });

function expectPrintable({ stdout, stderr }: Pick<ExecResult, 'stdout' | 'stderr'>): void {
  expect({ stdout: poisonIn(stdout), stderr: poisonIn(stderr) }).toEqual({ stdout: [], stderr: [] });
}

describe('poisoned arguments', () => {
  it.each([
    [[ARGUMENT]],
    [['run', ARGUMENT]],
    [['help', ARGUMENT]],
    [[`--${ARGUMENT}=x`]],
    [['--ip-masq', ARGUMENT]],
    [['network', ARGUMENT]],
    [['network', 'set', ARGUMENT]],
    [['network', 'set', `@/${ARGUMENT}`]],
    [['network', 'set', '{}', `--store=file:/dev/null/${ARGUMENT}`]],
    ...[
      'store',
      'etcd-endpoints',
      'etcd-prefix',
      'healthz-ip',
      'healthz-port',
      'iface-regex',
      'public-ip',
    ].map((flag) => [['run', `--${flag}=(${ARGUMENT}`]]),
    [['network', 'get', `--etcd-cafile=/${ARGUMENT}`, '--etcd-endpoints=https://127.0.0.1:9']],
  ])('poisoned arguments are echoed in printable text: %#', async (args) => {
    const result = await twill(...args);
    expect(result.exitCode).toBeGreaterThan(1);
    expect(result.stderr).toMatch(/^twill: .+\n(?:hint: .+\n)?$/);
    expectPrintable(result);
  });
});

/** Unknown, permission denied, resource exhausted, unavailable, unauthenticated. */
const STATUSES = [2, 7, 8, 14, 16] as const;

// A program: answers each call with an error, by a port for each status.
const POISONED_ETCD = `
for (const status of ${JSON.stringify(STATUSES)}) {
  const server = require('node:http2').createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    const headers = { ':status': 200, 'grpc-status': String(status), 'grpc-message': process.argv[1] };
    stream.respond(headers, { endStream: true });
  });
  server.listen(9000 + status, '127.0.0.1', () => console.log('listens ' + status));
}`;

describe.skipIf(NEEDS_LAB.missing)(title('poisoned datastores', NEEDS_LAB), () => {
  const HEALTHZ = `--healthz-port=${HEALTHZ_PORT}`;
  const STORE = '--store=file:/run/store';
  const PREFIX = '/coreos.com/network';
  const CONFIG = { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' }, [POISONED]: POISONED };
  const node = { ID: 'f'.repeat(16), MAC: '02:00:00:00:00:09', Name: POISONED };
  const lease = (publicIP: string, more: object): string =>
    JSON.stringify({
      PublicIP: publicIP,
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:09' },
      Node: node,
      ...more,
    });
  const ENTRIES: readonly (readonly [key: string, value: string])[] = [
    [POISONED, POISONED],
    ['10.5.10.0-24', POISONED],
    ['10.5.11.0-24', lease(POISONED, {})],
    ['10.5.12.0-24', lease('192.168.77.12', { BackendType: POISONED })],
    ['10.5.13.0-24', lease('192.168.77.13', { BackendData: { VNI: 1, VtepMAC: POISONED } })],
    ['10.5.14.0-24', lease('192.168.77.14', { Node: POISONED })],
    ['10.5.15.0-24', lease('192.168.77.15', { [POISONED]: POISONED })],
    ['10.5.16.0-24', lease('10.5.16.1', {})],
    // Of another machine at the address of this host.
    ['10.5.17.0-24', lease('192.168.77.1', {})],
  ];
  let lab: Lab;

  const put = async (key: string, value: string): Promise<void> => {
    await using kv = await openFileKv({
      directory: lab.host(1).path('/run/store'),
      clock: systemClock,
      random: systemRandom,
    });
    const entry = await kv.get(key);
    if (entry === undefined) await kv.create(key, value, undefined);
    else await kv.update(entry, value);
  };
  const command = (...args: readonly string[]): Promise<ExecResult> =>
    lab.host(1).namespace.exec([...TWILL, ...args, STORE], { timeoutMs: RUN_MS });
  const ask = async (path: string): Promise<string> => {
    const argv = [...labProgram('http-get'), `http://127.0.0.1:${HEALTHZ_PORT}${path}`];
    return (await lab.host(1).namespace.exec(argv, { timeoutMs: RUN_MS })).stdout;
  };
  const askAll = async (): Promise<string> =>
    (await Promise.all(['/readyz', '/healthz', '/metrics'].map(ask))).join('\n');

  beforeAll(async () => {
    lab = await openLab({ hosts: 1 });
    await put(`${PREFIX}/config`, JSON.stringify(CONFIG));
    for (const [key, value] of ENTRIES) await put(`${PREFIX}/subnets/${key}`, value);
    // The kernel takes nearly any name for a link.
    const { namespace } = lab.host(1);
    const name = '\u001b[2J\u202elive';
    await namespace.run(['ip', 'link', 'add', 'name', name, 'up', 'type', 'bridge']);
    await namespace.run(['ip', 'address', 'add', '192.168.88.1/24', 'dev', name]);
  });
  afterAll(async () => {
    await lab?.close();
  });

  it('network get prints JSON of the same value in printable text', async () => {
    const result = await command('network', 'get');
    expectPrintable(result);
    expect(JSON.parse(result.stdout)).toEqual(CONFIG);
  });

  it('plan is printable', async () => {
    const result = await command('plan');
    expect(result.stdout).toMatch(
      /^# network .*, subnet 10\.5\.17\.0\/24 \(of node a.* at our address: [^\n]*\n/,
    );
    expectPrintable(result);
  });

  it('a refusal of the interface lists poisoned interfaces in printable text', async () => {
    const result = await command('run', '--iface=eth7');
    expect(result.stderr).toMatch(/no interface matches eth7\nhint: .*live/);
    expectPrintable(result);
  });

  it('log and answers of the agent are printable', async () => {
    const agent = lab.host(1).startAgent([STORE, '-v=1', HEALTHZ]);
    await agent.waitReady(30_000);
    const answers = await askAll();
    await agent.stop();
    const log = await agent.log();
    expect(log).toContain('owned');
    expectPrintable({ stdout: answers, stderr: log });
  });

  it('an error of etcd leaves the agent and commands as one printable line', async () => {
    const message = encodeURIComponent(POISONED.replaceAll(/[\ud800-\udfff]/gu, ''));
    const { namespace } = lab.host(1);
    const etcd = lab.host(1).start('etcd', [process.execPath, '-e', POISONED_ETCD, message]);
    for (const status of STATUSES) {
      await etcd.waitForLine(new RegExp(`^listens ${status}$`), 5_000);
      const flag = `--etcd-endpoints=http://127.0.0.1:${9000 + status}`;
      const argv = [...TWILL, 'network', 'get', flag];
      const result = await namespace.exec(argv, { timeoutMs: RUN_MS });
      expect(result).toMatchObject({ exitCode: 4, stdout: '' });
      expect(result.stderr).toMatch(/^twill: etcd at .*owned.*\n(?:hint: .+\n)?$/);
      expectPrintable(result);
    }
    const agent = lab.host(1).startAgent(['--etcd-endpoints=http://127.0.0.1:9014', '-v=1', HEALTHZ]);
    await waitFor('/readyz tells', 10_000, async () => (await ask('/readyz')).includes('owned'));
    const answers = await askAll();
    await agent.stop();
    expectPrintable({ stdout: answers, stderr: await agent.log() });
    await etcd.stop('SIGKILL');
  });

  it('a password of the environment leaves by no output', async () => {
    const secrets = { FLANNELD_ETCD_USERNAME: 'u-hunter2', FLANNELD_ETCD_PASSWORD: 'p-hunter2' };
    const flags = ['--etcd-endpoints=http://192.168.77.1:9', '-v=1'];
    const said: string[] = [];
    for (const args of [['run', '--help'], ['plan'], ['network', 'get'], ['plan', '--ip-masq=x'], ['odd']]) {
      const words = Object.entries(secrets).map(([name, value]) => `${name}=${value}`);
      const argv = ['env', ...words, ...TWILL, ...args, ...flags];
      const { stdout, stderr } = await lab.host(1).namespace.exec(argv, { timeoutMs: RUN_MS });
      said.push(stdout, stderr);
    }
    const agent = lab.host(1).startAgent([...flags, HEALTHZ], secrets);
    await waitFor('/readyz tells', 10_000, async () => (await ask('/readyz')).includes('etcd at'));
    said.push(await askAll());
    await agent.stop();
    said.push(await agent.log());
    expect(said.join('\n')).toContain('the password crosses the network in clear text');
    expect(said.join('\n')).not.toContain('hunter2');
  });
});
