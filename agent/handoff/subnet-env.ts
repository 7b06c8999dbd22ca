// The file that tells Docker, CNI plugins and scripts what this node's network is: /run/flannel/subnet.env,
// in flannel's form to the byte. It outlives the agent: at the next start it says which subnet was ours
// before.
import { constants, open } from 'node:fs/promises';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { errnoOf } from '../base/errors.ts';
import type { HandOff, SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix, networkOf, type Prefix, parsePrefix } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

const MODE = 0o644;

/** The file at `path` as what the agent hands over. */
export function subnetFile(path: string): HandOff {
  return {
    name: path,
    previousSubnet: () => readPreviousSubnet(path),
    write: (env) => writeSubnetEnv(path, env),
  };
}

/** The text of the file. */
export function formatSubnetEnv({ network, subnet, mtuBytes, ipMasq }: SubnetEnv): string {
  return [
    `FLANNEL_NETWORK=${formatPrefix(networkOf(network))}`,
    `FLANNEL_SUBNET=${addressAt(subnet, 1)}/${subnet.length}`,
    `FLANNEL_MTU=${mtuBytes}`,
    `FLANNEL_IPMASQ=${ipMasq}`,
    '',
  ].join('\n');
}

/** What can be read from such a text; a value that is missing or of no use is left out. */
export function parseSubnetEnv(text: string): Partial<SubnetEnv> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^\s*(FLANNEL_\w+)=(\S*)\s*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, value);
  }
  const network = parseIPv4Prefix(values.get('FLANNEL_NETWORK'));
  const subnet = parseIPv4Prefix(values.get('FLANNEL_SUBNET'));
  const mtu = values.get('FLANNEL_MTU') ?? '';
  const ipMasq = values.get('FLANNEL_IPMASQ');
  return {
    ...(network === undefined ? {} : { network }),
    ...(subnet === undefined ? {} : { subnet }),
    ...(/^\d{1,5}$/.test(mtu) ? { mtuBytes: Number(mtu) } : {}),
    ...(ipMasq === 'true' || ipMasq === 'false' ? { ipMasq: ipMasq === 'true' } : {}),
  };
}

function parseIPv4Prefix(text: string | undefined): Prefix | undefined {
  const prefix = parsePrefix(text ?? '');
  return prefix?.family === 4 ? networkOf(prefix) : undefined;
}

/**
 * The subnet that the file at `path` names, host bits cleared. Undefined when the file is missing, cannot be
 * read or makes no sense: it is a preference, and a node starts without it.
 */
export async function readPreviousSubnet(path: string): Promise<Prefix | undefined> {
  const file = await readStart(path);
  return file === undefined ? undefined : parseSubnetEnv(file.text).subnet;
}

/**
 * Replaces the file at `path`, unless it is as it should be already. True: it was written. Fails as `host`;
 * the old file then stays.
 */
export async function writeSubnetEnv(path: string, env: SubnetEnv): Promise<boolean> {
  const text = formatSubnetEnv(env);
  const old = await readStart(path);
  if (old?.text === text && old.mode === MODE) return false;
  await writeFileAtomic(path, text, MODE);
  return true;
}

// Whatever the path leads to, only so much of it is read; O_NONBLOCK, because opening a pipe waits for its
// writer.
async function readStart(
  path: string,
): Promise<{ readonly text: string; readonly mode: number } | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LIMITS.subnetFileBytes), 0);
    return { text: buffer.toString('utf8', 0, bytesRead), mode: stats.mode & 0o7777 };
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}
