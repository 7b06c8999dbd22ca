// The demo follows its options, and leaves nothing behind after any end.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { removeLab } from '../lab/sweep.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

const SCRIPT = join(PROJECT_ROOT, 'scripts/demo.mjs');
const LIMIT_MS = 60_000;

const demo = (...args: readonly string[]) =>
  exec(process.execPath, [SCRIPT, ...args], { timeoutMs: LIMIT_MS, env: process.env });

/** Namespaces and folders of all demos. */
async function traces(): Promise<string[]> {
  const names = [...(await readdir('/run/netns').catch(() => [])), ...(await readdir(tmpdir()))];
  return names.filter((name) => /^tw-(?:demo|\d+-demo)-/.test(name)).sort();
}

describe.skipIf(NEEDS_CLUSTER.missing)(title('the demo', NEEDS_CLUSTER), () => {
  afterEach(async () => {
    await removeLab('demo');
  });

  it.each([
    [[], 'vxlan', 'file', 3],
    [['--store', 'etcd', '--backend', 'host-gw'], 'host-gw', 'etcd', 3],
    [['--nodes', '2', '--backend', 'host-gw'], 'host-gw', 'file', 2],
    [['--nodes=5', '--store=etcd'], 'vxlan', 'etcd', 5],
  ] as const)(
    'the demo with %j connects every container to every other one',
    async (args, backend, store, nodes) => {
      const before = await traces();
      const { exitCode, stdout, stderr } = await demo(...args);
      expect(stderr).toBe('');
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`${nodes} hosts, backend ${backend}, datastore ${store}`);
      expect(stdout.match(/ took 10\.5\.\d+\.0\/24 /g)).toHaveLength(nodes);
      const device = backend === 'vxlan' ? 'flannel.1' : 'eth0';
      expect(stdout.match(new RegExp(`10\\.5\\.\\d+\\.0/24 via \\S+ dev ${device} `, 'g'))).toHaveLength(
        nodes - 1,
      );
      expect(stdout).toContain(`${nodes * (nodes - 1)} of ${nodes * (nodes - 1)} pairs answer`);
      expect(stdout).toMatch(/\d+\.\d Gb\/s/);
      expect(stdout).toMatch(/Every container reaches every other one\. \d+\.\d\d s in total\.\n\n$/);
      expect(await traces()).toEqual(before);
    },
  );

  it.each([
    [['--backend', 'pigeon'], '--backend: must be one of vxlan, host-gw, udp, is "pigeon"'],
    [['--nodes', '1'], '--nodes: must be a whole number from 2 to 20, is "1"'],
    [['--nodes', 'x'], '--nodes: must be a whole number from 2 to 20, is "x"'],
    [['--store', 'tape'], '--store: must be one of file, etcd, is "tape"'],
    [['--speed'], "Unknown option '--speed'; --help lists the options"],
    [['--systemd', '--nodes', '4'], '--systemd: goes with --backend alone, and not with --nodes'],
    [['--kubernetes', '--keep'], '--kubernetes: goes with --backend alone, and not with --keep'],
    [['--kubernetes', '--systemd'], '--systemd: goes with --backend alone, and not with --kubernetes'],
    [['more'], "Unexpected argument 'more'; --help lists the options"],
  ])('the demo refuses %j in one line', async (args, message) => {
    expect(await demo(...args)).toEqual({ exitCode: 1, stdout: '', stderr: `demo: ${message}\n` });
  });

  it('the demo stays with --keep until --remove, and prints commands that work', async () => {
    const before = await traces();
    const { exitCode, stdout } = await demo('--keep', '--nodes', '2');
    expect(exitCode).toBe(0);
    const [, command = ''] = /ping between containers +(nsenter .*)\n/.exec(stdout) ?? [];
    const [file = '', ...args] = command.split(' ');
    const answer = await exec(file, [...args, '-c', '1']);
    expect(answer.stdout).toContain('1 received');
    const [, log = ''] = /tail -f (\S+)\n/.exec(stdout) ?? [];
    expect(existsSync(log)).toBe(true);
    const again = await demo('--keep');
    expect(again).toMatchObject({ exitCode: 1, stdout: '' });
    expect(again.stderr).toContain('npm run demo -- --remove');
    expect((await exec(file, [...args, '-c', '1'])).stdout).toContain('1 received');
    expect(await demo('--remove')).toEqual({ exitCode: 0, stdout: 'demo: removed\n', stderr: '' });
    expect(await traces()).toEqual(before);
    expect((await demo('--remove')).stdout).toBe('demo: there was nothing to remove\n');
  });

  it.each(['Underlay', 'Agents', 'Ping'])(
    'the demo is removed by Ctrl-C after the step "%s", also by a second one',
    async (step) => {
      const before = await traces();
      const log = join(tmpdir(), `twill-demo-${process.pid}-${step}.log`);
      const running = new LabProcess([process.execPath, SCRIPT, '--store', 'etcd'], log);
      await running.waitForLine(new RegExp(` ${step} `), LIMIT_MS);
      process.kill(running.pid, 'SIGINT');
      await waitFor('it says that it stops', 5_000, async () =>
        (await running.log()).includes('stopped by SIGINT'),
      );
      expect(await running.stop('SIGINT', 20_000)).toMatchObject({ code: 130, signal: null });
      expect(await traces()).toEqual(before);
    },
  );
});
