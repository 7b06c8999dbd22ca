// Whether this process may change the network at all. Asked before anything is done, so that the answer is one
// line and not the refusal of the first netlink request, after a lease was taken.
import { readFile } from 'node:fs/promises';
import { TwillError } from '../base/errors.ts';

/** Number of the capability CAP_NET_ADMIN, see capabilities(7). */
const CAP_NET_ADMIN = 12n;

/**
 * Fails as `host` when the process lacks CAP_NET_ADMIN, which root has, and which a container may lack even as
 * root. Where /proc does not tell, the kernel is left to refuse.
 */
export async function requireNetAdmin(command: string): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  if (hasNetAdmin(status) !== false) return;
  throw new TwillError('host', `cannot change the network: no permission (CAP_NET_ADMIN is missing)`, {
    hint: `start \`twill ${command}\` as root; in a container, add the capability NET_ADMIN`,
    errno: 'EPERM',
  });
}

/** Reads the text of /proc/self/status. Undefined: it does not say. */
export function hasNetAdmin(status: string): boolean | undefined {
  const bits = /^CapEff:\s*([0-9a-f]{1,16})$/im.exec(status)?.[1];
  return bits === undefined ? undefined : ((BigInt(`0x${bits}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}
