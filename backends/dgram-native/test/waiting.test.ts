// Pollers and wakeups. Threads and processes of their own run the built package.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  attachWakeup,
  createArena,
  createPoller,
  createWakeup,
  type Poller,
  type Wakeup,
} from '../src/index.ts';
import { openPair } from './pair.ts';

const isBuilt = existsSync(new URL('../dist/index.js', import.meta.url));
const title = (text: string) => (isBuilt ? text : `${text} (skipped: needs the built package)`);

function createOwnPoller(fds: readonly number[]): Poller {
  return createPoller(createArena(65_536), fds);
}

function timeOf(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

describe('a poller', () => {
  it.each([
    [0, 0],
    [1, 1],
    [0.2, 1],
    [30, 30],
  ])('a poller waits for %j ms where nothing happens', (timeoutMs, atLeastMs) => {
    using wakeup = createWakeup();
    const poller = createOwnPoller([wakeup.fd]);
    const ms = timeOf(() => expect(poller.wait(timeoutMs)).toBe(0));
    expect(poller.failed).toBe(0);
    // The clock of poll is coarser than ours by a part of a millisecond.
    expect(ms).toBeGreaterThanOrEqual(atLeastMs - 0.5);
    expect(ms).toBeLessThan(atLeastMs + 500);
  });

  it('a poller gives the descriptors that can be read, in their order', () => {
    using pair = openPair();
    const wakeups: Wakeup[] = Array.from({ length: 30 }, () => createWakeup());
    const poller = createOwnPoller([pair.to.fd, ...wakeups.map(({ fd }) => fd)]);
    expect(poller.wait(0)).toBe(0);
    wakeups[0]?.ring();
    wakeups[29]?.ring();
    expect(poller.wait(-1)).toBe(0x40000002);
    pair.sender.begin(pair.target, 0);
    pair.sender.append(pair.payload, 1);
    pair.sender.flush();
    expect(poller.wait(1000)).toBe(0x40000003);
    for (const wakeup of wakeups) wakeup.clear();
    pair.receiveBytes(1);
    expect(poller.wait(0)).toBe(0);
    for (const wakeup of wakeups) wakeup[Symbol.dispose]();
  });

  it('a poller gives the descriptors that have failed, without waiting', () => {
    using open = createWakeup();
    const closed = createWakeup();
    const poller = createOwnPoller([open.fd, closed.fd]);
    closed[Symbol.dispose]();
    expect(poller.wait(-1)).toBe(0);
    expect(poller.failed).toBe(0b10);
    open.ring();
    expect(poller.wait(-1)).toBe(0b01);
    expect(poller.failed).toBe(0b10);
  });

  it.skipIf(!isBuilt)(title('a poller waits its full time when signals interrupt it'), async () => {
    const dist = new URL('../dist/index.js', import.meta.url).href;
    const code = `
      import { createArena, createPoller, createWakeup } from '${dist}';
      process.on('SIGUSR2', () => undefined);
      const poller = createPoller(createArena(65_536), [createWakeup().fd]);
      process.stderr.write('waiting');
      const startMs = performance.now();
      const mask = poller.wait(600);
      process.stdout.write(JSON.stringify([mask, performance.now() - startMs]));`;
    const [mask, ms] = await new Promise<readonly [number, number]>((resolve, reject) => {
      const args = ['--input-type=module', '--eval', code];
      const child = execFile(process.execPath, args, { timeout: 20_000 }, (error, stdout) => {
        if (error === null) resolve(JSON.parse(stdout) as [number, number]);
        else reject(error);
      });
      child.stderr?.once('data', async () => {
        for (let i = 0; i < 20 && child.exitCode === null; i += 1) {
          child.kill('SIGUSR2');
          await sleep(20);
        }
      });
    });
    expect(mask).toBe(0);
    expect(ms).toBeGreaterThanOrEqual(599);
    expect(ms).toBeLessThan(2_000);
  });
});

describe('a wakeup', () => {
  it('a wakeup is reported once for any number of rings, and never without one', () => {
    using wakeup = createWakeup();
    const poller = createOwnPoller([wakeup.fd]);
    wakeup.clear();
    for (let i = 0; i < 1000; i += 1) wakeup.ring();
    expect(poller.wait(0)).toBe(1);
    wakeup.clear();
    expect(poller.wait(0)).toBe(0);
  });

  it('a wakeup of another thread is rung by its descriptor, and stays open', () => {
    using wakeup = createWakeup();
    const attached = attachWakeup(wakeup.fd);
    attached.ring();
    attached[Symbol.dispose]();
    expect(createOwnPoller([wakeup.fd]).wait(0)).toBe(1);
  });

  it('a closed wakeup cannot be rung or cleared', () => {
    const wakeup = createWakeup();
    wakeup[Symbol.dispose]();
    expect(() => wakeup.ring()).toThrow('cannot ring a wakeup: write: EBADF');
    expect(() => wakeup.clear()).toThrow('cannot clear a wakeup: read: EBADF');
  });

  it.skipIf(!isBuilt)(title('a wakeup wakes a thread that waits for ever, each time'), async () => {
    using wakeup = createWakeup();
    using answer = createWakeup();
    const rounds = 200;
    const heard = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(fileURLToPath(new URL('waiting-worker.mjs', import.meta.url)), {
      workerData: { wakeup: wakeup.fd, answer: answer.fd, rounds, heard },
    });
    const end = new Promise<number>((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    const poller = createOwnPoller([answer.fd]);
    try {
      for (let i = 1; i <= rounds; i += 1) {
        wakeup.ring();
        expect(poller.wait(5_000)).toBe(1);
        answer.clear();
        expect(Atomics.load(heard, 0)).toBe(i);
      }
      expect(await end).toBe(0);
    } finally {
      await worker.terminate();
    }
  });
});
