// Leaves the last status in a file, for people who ask when the agent is gone.
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.ts';
import type { Bell } from '../base/bell.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { printableLines } from '../base/printable.ts';
import { LIMITS } from './limits.ts';

const MODE = 0o600;

/** The file beside a subnet file. */
export function statusFile(subnetFile: string): string {
  return join(dirname(subnetFile), 'last-status.json');
}

export interface StatusFileDeps {
  readonly path: string;
  /** Why the node is not ready; undefined: it is. The file is written when that changes. */
  readonly reason: () => string | undefined;
  readonly text: () => Promise<string>;
  /** Cuts the pause between two looks short. */
  readonly bell: Bell;
  readonly log: Logger;
}

/**
 * Keeps the file until `signal` is aborted, and writes it once more then. An agent that ends before the first look, as
 * with a wrong configuration, leaves none. A look costs no call of the system. A file that cannot be written is logged.
 */
export async function keepStatusFile(
  { path, reason, text, bell, log }: StatusFileDeps,
  signal: AbortSignal,
): Promise<void> {
  let failure: string | undefined;
  const write = async (): Promise<void> => {
    try {
      await writeFileAtomic(path, printableLines(await text()), MODE);
      failure = undefined;
    } catch (error) {
      if (messageOf(error) !== failure) log.warn(`cannot keep the last status: ${messageOf(error)}`);
      failure = messageOf(error);
    }
  };
  let written: { readonly reason: string | undefined } | undefined;
  const pause = (): Promise<unknown> => bell.wait(signal, LIMITS.statusFileMs).catch(() => undefined);
  for (await pause(); !signal.aborted; await pause()) {
    const now = reason();
    if (written !== undefined && now === written.reason) continue;
    await write();
    written = { reason: now };
  }
  if (written !== undefined) await write();
}
