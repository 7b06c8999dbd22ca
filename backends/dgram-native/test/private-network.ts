// A network namespace of the test process's own, so that no test can touch the machine's network. It disappears with
// the process.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

const CLONE_NEWNET = 0x40000000;

/** The reason why there can be no such namespace here, for a test's title; undefined: there can. */
export const missing = process.getuid?.() === 0 ? undefined : 'needs root';

/** The title of a suite, with the reason where it is skipped. */
export function titleOf(title: string): string {
  return missing === undefined ? title : `${title} (skipped: ${missing})`;
}

let isEntered = process.env['TWILL_PRIVATE_NETNS'] === '1';

/** Moves this thread into a namespace of its own, once; processes that it starts are in it too. */
export function enterPrivateNetwork(): void {
  if (!isEntered) {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    if (koffi.load(null).func('unshare', 'int', ['int'])(CLONE_NEWNET) !== 0) {
      throw new Error(`cannot make a network namespace: errno ${koffi.errno()}`);
    }
    isEntered = true;
  }
  ip('link', 'set', 'lo', 'up');
}

/** Runs the program of that name. Throws where it fails. */
export function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', timeout: 10_000 });
}
