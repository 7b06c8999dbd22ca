import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { exec } from '../../../agent/base/exec.ts';
import { needsProgram, title } from '../../support/needs.ts';
import { withoutDescriptors } from '../../support/without-descriptors.ts';

const countPipes = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
const PIPES_BEFORE = countPipes();

describe('exec', () => {
  it('exec returns exit code, stdout and stderr, also if the code is not 0', async () => {
    const script = 'cat; echo out; echo err >&2; exit 3';
    expect(await exec('sh', ['-c', script], { input: 'in ' })).toEqual({
      exitCode: 3,
      stdout: 'in out\n',
      stderr: 'err\n',
    });
  });

  it('exec passes arguments unchanged, without a shell', async () => {
    const hostile = ['$(echo x)', '; echo x', '`x`', '*', '$HOME', 'a b', "'", '"', '\n', ''];
    const { stdout } = await exec('printf', ['<%s>', ...hostile]);
    expect(stdout).toBe(hostile.map((text) => `<${text}>`).join(''));
    await expect(exec('echo x; echo', [])).rejects.toMatchObject({ errno: 'ENOENT' });
  });

  it('exec decodes characters of several bytes', async () => {
    const text = '€ü'.repeat(100_000);
    expect((await exec('cat', [], { input: text })).stdout).toBe(text);
  });

  it('exec accepts a program that reads nothing of its input', async () => {
    expect((await exec('true', [], { input: 'x'.repeat(1_000_000) })).exitCode).toBe(0);
  });

  it('exec reports a missing program', async () => {
    await expect(exec('twill-no-such-program', [])).rejects.toMatchObject({
      code: 'host',
      errno: 'ENOENT',
      message: 'cannot run twill-no-such-program: not found in PATH',
    });
  });

  it('exec reports why a program cannot be started', async () => {
    await expect(exec('/', [])).rejects.toMatchObject({ code: 'host', errno: 'EACCES' });
    await expect(exec('echo', ['a\u0000b'])).rejects.toMatchObject({
      code: 'host',
      message: expect.stringMatching(/^cannot run echo: .*null bytes/),
    });
  });

  it.each([
    ['runs too long', 'exec sleep 60'],
    ['runs too long and ignores SIGTERM', 'trap "" TERM; exec sleep 60'],
    ['leaves a child that keeps the pipes open', 'sleep 3 & exit 0'],
  ])('exec ends at the time-out if the program %s', async (_, script) => {
    const before = systemClock.monotonicMs();
    await expect(exec('sh', ['-c', script], { timeoutMs: 150 })).rejects.toMatchObject({
      code: 'host',
      message: `sh -c ${script}: no answer within 150 ms`,
    });
    expect(systemClock.monotonicMs() - before).toBeLessThan(2_000);
    // No pipe of it keeps this process alive.
    await expect.poll(countPipes).toBeLessThanOrEqual(PIPES_BEFORE);
  });

  it('exec kills a program that prints without end', async () => {
    await expect(exec('cat', ['/dev/zero'])).rejects.toMatchObject({
      code: 'host',
      message: 'cat /dev/zero: printed more than 32 MiB',
    });
  });

  it('exec rejects when its signal is aborted, before and after the program is started', async () => {
    const stop = new AbortController();
    const running = exec('sleep', ['60'], { signal: stop.signal });
    stop.abort(new Error('stop'));
    await expect(running).rejects.toMatchObject({ code: 'host', message: 'cannot run sleep: stop' });
    await expect(exec('true', [], { signal: stop.signal })).rejects.toThrow('cannot run true: stop');
  });

  it('exec reports the signal that ended a program', async () => {
    await expect(exec('sh', ['-c', 'kill -9 $$'])).rejects.toMatchObject({
      code: 'host',
      message: 'sh -c kill -9 $$: ended by SIGKILL',
    });
  });
});

describe('the environment of a program', () => {
  const before = { ...process.env };
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-exec-'));
  });
  afterEach(async () => {
    process.env = { ...before };
    await rm(folder, { recursive: true });
  });

  it('a program gets few variables of ours, and those that its caller gives', async () => {
    process.env['TWILL_ETCD_PASSWORD'] = 'secret';
    process.env['XTABLES_LOCKFILE'] = '/run/lock';
    process.env['PATH'] = '/usr/bin:/bin';
    const { stdout } = await exec('env', [], { env: { NOTIFY_SOCKET: '@x' } });
    expect(stdout.trim().split('\n').sort()).toEqual([
      'LC_ALL=C',
      'NOTIFY_SOCKET=@x',
      'PATH=/usr/bin:/bin',
      'XTABLES_LOCKFILE=/run/lock',
    ]);
  });

  it('a program is looked for in absolute folders of PATH alone', async () => {
    await mkdir(join(folder, 'bin'));
    const program = join(folder, 'bin/twill-test-program');
    await writeFile(program, '#!/bin/sh\npwd\n');
    await chmod(program, 0o755);
    process.env['PATH'] = `${folder}/bin:/usr/bin:/bin`;
    expect((await exec('twill-test-program', [])).stdout).toBe('/\n');
    const up = '../'.repeat(process.cwd().split('/').length);
    for (const path of [`${up}${folder}/bin`, '.', ':', '']) {
      process.env['PATH'] = path;
      const { stdout } = await exec('sh', ['-c', 'echo "$PATH"']);
      expect(stdout).toBe('/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n');
      await expect(exec('twill-test-program', [])).rejects.toMatchObject({ errno: 'ENOENT' });
    }
  });
});

const need = needsProgram('prlimit');
describe.skipIf(need.missing)(title('exec without file descriptors', need), () => {
  it('exec fails when no file descriptor is left, and works again afterwards', async () => {
    // Each number of free descriptors fails at another step of the start.
    for (let free = 0; free < 8; free++) {
      const outcome = await withoutDescriptors(free, () => exec('true', []).catch((error: unknown) => error));
      if (free < 6) expect(outcome).toMatchObject({ code: 'host', errno: 'EMFILE' });
    }
    expect((await exec('true', [])).exitCode).toBe(0);
  });
});
