// Checks that this process may change the network. The check comes first, so that a missing permission is reported in
// one line and not by the first netlink request, when a lease is already claimed.
import { readFile } from 'node:fs/promises';
import { TwillError } from '../base/errors.ts';

/** Number of the capability CAP_NET_ADMIN, see capabilities(7). */
const CAP_NET_ADMIN = 12n;

/**
 * Fails as `host` when the process lacks CAP_NET_ADMIN. A container may lack it even as root. If /proc is unreadable,
 * the check passes and the kernel decides later.
 */
export async function requireNetAdmin(command: string): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  if (hasNetAdmin(status) !== false) return;
  throw new TwillError('host', `cannot change the network: no permission (CAP_NET_ADMIN is missing)`, {
    hint: `start \`twill ${command}\` as root, or give its user that capability alone; in a container, add NET_ADMIN`,
    errno: 'EPERM',
  });
}

/** Parses /proc/self/status; undefined: it has no capabilities. */
export function hasNetAdmin(status: string): boolean | undefined {
  const bits = /^CapEff:\s*([0-9a-f]{1,16})$/im.exec(status)?.[1];
  return bits === undefined ? undefined : ((BigInt(`0x${bits}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}
