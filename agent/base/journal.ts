// Whether the lines on stderr go to systemd's journal.
import { fstatSync } from 'node:fs';

const STDERR = 2;

/** `stream`: the value of JOURNAL_STREAM, in which systemd names device and inode of the stream that it has opened. */
export function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    // A process may have no stderr.
    return false;
  }
}
