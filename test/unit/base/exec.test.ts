import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { exec } from '../../../agent/base/exec.ts';

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
