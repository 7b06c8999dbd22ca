// promtool, the checker of Prometheus: it knows the text format, the rules for names, alert rules and their tests.
import { join } from 'node:path';
import { exec } from '../../agent/base/exec.ts';
import { type DebianRoot, fillRoot, rootFailure, rootFolder } from './engines/debian-root.ts';

const ROOT: DebianRoot = { name: 'prometheus', suite: 'bookworm', packages: ['prometheus'], isWhole: false };
const CHECK_MS = 60_000;

/** Unpacks it where it is missing. `say` is given a line before. */
export function fillPromtool(say: (line: string) => void): Promise<void> {
  return fillRoot(ROOT, say);
}

/** Why it cannot be called, on one line; undefined: it can. */
export async function promtoolFailure(): Promise<string | undefined> {
  const failure = await rootFailure(ROOT);
  return failure === undefined ? undefined : `needs promtool of Debian ${ROOT.suite}: ${failure}`;
}

/** What it says about a check that fails; empty: the check succeeds. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const file = join(rootFolder(ROOT), 'usr/bin/promtool');
  const { exitCode, stdout, stderr } = await exec(file, args, { input, timeoutMs: CHECK_MS });
  return exitCode === 0 ? '' : `exit code ${exitCode}\n${stdout}${stderr}`;
}

/** What it says about the answer to a scrape; empty: nothing. */
export function checkMetrics(text: string): Promise<string> {
  return promtool(['check', 'metrics'], text);
}
