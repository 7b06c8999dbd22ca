// The options of `twill status`, and the place of the agent that it asks.
import { TwillError } from '../base/errors.ts';
import { echo } from '../options/flag-values.ts';
import { environmentName } from '../options/flags.ts';
import { statusPlace } from '../options/status-flags.ts';
import type { CommandContext } from './context.ts';

export interface StatusOptions {
  /** The agent's socket. */
  readonly socket: string;
  readonly subnetFile: string;
  readonly isJson: boolean;
  readonly isWatch: boolean;
  /** List all peers. */
  readonly isAll: boolean;
  /** The peers count for the exit code too. */
  readonly checksPeers: boolean;
  /** A name, a subnet or an address. */
  readonly peer: string | undefined;
}

const SUBNET_FILE = '/run/flannel/subnet.env';

/** Parses the arguments. Fails as `usage`. */
export function parseStatusOptions(
  args: readonly string[],
  environment: CommandContext['environment'],
): StatusOptions {
  const seen = new Set<string>();
  let subnetFile = environment[environmentName('subnet-file')] || SUBNET_FILE;
  let socket = environment[environmentName('status-socket')] ?? '';
  let peer: string | undefined;
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, flag = '', joined] = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(arg) ?? [];
    const value = (): string => {
      const text = joined ?? rest.shift();
      if (text === undefined || text === '') throw misuse(`--${flag}: needs a value`);
      return text;
    };
    if (flag === 'subnet-file') subnetFile = value();
    else if (flag === 'status-socket') socket = value();
    else if (flag === 'peer') peer = value();
    else if (flag === 'check') {
      const what = value();
      if (what !== 'peers') throw misuse(`--check: must be peers, is ${echo(what)}`);
      seen.add('check');
    } else if (['json', 'watch', 'all'].includes(flag) && joined === undefined) seen.add(flag);
    else
      throw misuse(
        `takes --json, --watch, --all, --peer, --check, --subnet-file and --status-socket, not ${echo(arg)}`,
      );
  }
  const place = statusPlace(socket, subnetFile, '--status-socket');
  if (place === undefined) throw misuse('--status-socket: is off, so there is no agent to ask');
  return {
    socket: place,
    subnetFile,
    isJson: seen.has('json'),
    isWatch: seen.has('watch'),
    isAll: seen.has('all'),
    checksPeers: seen.has('check'),
    peer,
  };
}

function misuse(message: string): TwillError {
  return new TwillError('usage', `status ${message}`, { hint: '`twill help status` lists its options' });
}
