// A lock between processes: its holder listens on an abstract socket of that name. The kernel closes the socket when
// the holder ends, so a lock is never stale, and there is no file to remove.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 100;
const LIMIT_MS = 30 * 60_000;

/**
 * Runs `work` under the lock of a name and a folder. Waits for at most 30 minutes.
 *
 * @template T
 * @param {string} name
 * @param {string} folder
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>} The result of `work`.
 */
export async function withLock(name, folder, work) {
  const id = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const lock = await acquire(`\0twill-${name}-${id}`);
    if (lock !== undefined) {
      try {
        return await work();
      } finally {
        lock.close();
      }
    }
    if (Date.now() > end) throw new Error(`another ${name} of ${folder} has been running for too long`);
    await sleep(EVERY_MS);
  }
}

/** @param {string} address */
async function acquire(address) {
  const server = createServer().listen(address);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
    throw error;
  }
}
