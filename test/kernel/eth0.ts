// The underlay link of the tests that have a private namespace as a whole.
import { execFileSync } from 'node:child_process';

/** Runs `ip` and gives its output. */
export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

/** Makes eth0 with 192.168.77.1/24 and with carrier. Gives the function that removes it. */
export function addEth0(): () => string {
  ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
  ip('link', 'set', 'other', 'up');
  ip('address', 'add', '192.168.77.1/24', 'dev', 'eth0');
  ip('link', 'set', 'eth0', 'up');
  return () => ip('link', 'delete', 'eth0');
}
