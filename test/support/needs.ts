// Requirements of tests on the machine. A test with an unmet need is skipped, with the reason in its title.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Need {
  readonly missing: boolean;
  readonly reason: string;
}

/** A need for a program in PATH, or in the administrators' folders of programs. */
export function needsProgram(name: string): Need {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return { missing: !folders.some((folder) => existsSync(join(folder, name))), reason: `needs ${name}` };
}

export const NEEDS_ROOT: Need = { missing: process.getuid?.() !== 0, reason: 'needs root' };

/** A need for the private network namespace in which `npm test` runs the suite as root: the test changes its links. */
export const NEEDS_PRIVATE_NETNS: Need = {
  missing: process.env['TWILL_PRIVATE_NETNS'] !== '1',
  reason: 'needs a private network namespace',
};

/** The first unmet need; without one, a need that is met. */
export function allOf(...needs: readonly Need[]): Need {
  return needs.find(({ missing }) => missing) ?? { missing: false, reason: '' };
}

/** A need for network namespaces, and for these programs in them. */
export function needsNetns(...programs: readonly string[]): Need {
  return allOf(NEEDS_ROOT, ...['ip', 'nsenter', ...programs].map(needsProgram));
}

export const NEEDS_CLUSTER: Need = allOf(
  NEEDS_ROOT,
  ...['ip', 'iptables', 'nft', 'etcd', 'etcdctl', 'ping'].map(needsProgram),
);

/** The title of a test. If the test is skipped, the title has the reason. */
export function title(text: string, need: Need): string {
  return need.missing ? `${text} (skipped: ${need.reason})` : text;
}
