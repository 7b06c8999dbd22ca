// What a test needs of the machine. A test whose need is not met is skipped, with the reason in its name.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Need {
  readonly missing: boolean;
  readonly reason: string;
}

/** A need for a program in PATH, or in the folders where programs for administrators are. */
export function needsProgram(name: string): Need {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return { missing: !folders.some((folder) => existsSync(join(folder, name))), reason: `needs ${name}` };
}

export const NEEDS_ROOT: Need = { missing: process.getuid?.() !== 0, reason: 'needs root' };

/** The first need that is not met, or one that is. */
export function allOf(...needs: readonly Need[]): Need {
  return needs.find(({ missing }) => missing) ?? { missing: false, reason: '' };
}

/** The title of a test, with the reason for which it is skipped if it is. */
export function title(text: string, need: Need): string {
  return need.missing ? `${text} (skipped: ${need.reason})` : text;
}
