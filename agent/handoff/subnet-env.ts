// /run/flannel/subnet.env, which tells Docker, CNI plugins and scripts the network of this node, in flannel's format to
// the byte. The file outlives the agent: the next start reads the previous subnet from it.
import { writeFileAtomic } from '../base/atomic-file.ts';
import { readFileStart } from '../base/read-file.ts';
import type { HandOff, SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix, networkOf, type Prefix, parsePrefix } from '../model/ip.ts';
import { parseEnvironmentFile } from './environment-file.ts';
import { LIMITS } from './limits.ts';

const MODE = 0o644;

/** The hand-off by the file at `path`. */
export function subnetFile(path: string): HandOff {
  return {
    name: path,
    previousSubnet: () => readPreviousSubnet(path),
    write: (env) => writeSubnetEnv(path, env),
  };
}

/** Formats the file. */
export function formatSubnetEnv({ network, subnet, mtuBytes, ipMasq }: SubnetEnv): string {
  return [
    `FLANNEL_NETWORK=${formatPrefix(networkOf(network))}`,
    `FLANNEL_SUBNET=${addressAt(subnet, 1)}/${subnet.length}`,
    `FLANNEL_MTU=${mtuBytes}`,
    `FLANNEL_IPMASQ=${ipMasq}`,
    '',
  ].join('\n');
}

/**
 * Parses the file, which others may have written in any form that a shell reads. Missing and invalid values are left
 * out.
 */
export function parseSubnetEnv(text: string): Partial<SubnetEnv> {
  const values = parseEnvironmentFile(text);
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

// flannel writes a list of networks in a cluster with several.
function parseIPv4Prefix(text = ''): Prefix | undefined {
  const prefix = parsePrefix(text.split(',')[0] ?? '');
  return prefix?.family === 'ipv4' ? networkOf(prefix) : undefined;
}

/**
 * The subnet in the file at `path`, host bits cleared. Undefined when the file is missing, unreadable or invalid: it is
 * only a preference, and a node starts without it.
 */
export async function readPreviousSubnet(path: string): Promise<Prefix | undefined> {
  const file = await readStart(path);
  if (file === undefined) return undefined;
  const { text, isPart } = file;
  // Half a line is another value: 10.5.34.1/2 of 10.5.34.1/24.
  return parseSubnetEnv(isPart ? text.slice(0, text.lastIndexOf('\n') + 1) : text).subnet;
}

/**
 * Writes the file at `path` if its content or mode differs. True: it was written. Fails as `host`, and then keeps the
 * old file.
 */
export async function writeSubnetEnv(path: string, env: SubnetEnv): Promise<boolean> {
  const text = formatSubnetEnv(env);
  const old = await readStart(path);
  if (old?.text === text && old.mode === MODE) return false;
  await writeFileAtomic(path, text, MODE);
  return true;
}

interface Start {
  readonly text: string;
  /** Whether the file may go on after it. */
  readonly isPart: boolean;
  readonly mode: number;
}

async function readStart(path: string): Promise<Start | undefined> {
  const start = await readFileStart(path, { maxBytes: LIMITS.subnetFileBytes }).catch(() => undefined);
  if (start === undefined) return undefined;
  const { bytes, isPart, stats } = start;
  return { text: bytes.toString(), isPart, mode: stats.mode & 0o7777 };
}
