// /run/flannel/subnet.env, which tells Docker, CNI plugins and scripts the network of this node, in flannel's format to
// the byte. The file outlives the agent: the next start reads the previous subnet from it.
import { readFileStart } from '../base/read-file.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix, networkOf, type Prefix, parsePrefix } from '../model/ip.ts';
import { parseEnvironmentFile } from './environment-file.ts';
import type { Form } from './form.ts';
import { LIMITS } from './limits.ts';

const MODE = 0o644;

export function subnetEnvForm(path: string): Form {
  return { path, mode: MODE, format: formatSubnetEnv };
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

/** The subnet file as the agent finds it at its start. */
export interface PreviousSubnet {
  /** The subnet, host bits cleared; undefined: the file is missing, unreadable or invalid. */
  readonly subnet: Prefix | undefined;
  /** Whether flags of Docker stand in place of our values: mk-docker-opts.sh was told to write there. */
  readonly isOverwritten: boolean;
}

/** Reads the file at `path`. Never fails: it is only a preference, and a node starts without it. */
export async function readPreviousSubnet(path: string): Promise<PreviousSubnet> {
  const start = await readFileStart(path, { maxBytes: LIMITS.formBytes }).catch(() => undefined);
  if (start === undefined) return { subnet: undefined, isOverwritten: false };
  const whole = start.bytes.toString();
  // Half a line is another value: 10.5.34.1/2 of 10.5.34.1/24.
  const text = start.isPart ? whole.slice(0, whole.lastIndexOf('\n') + 1) : whole;
  const { subnet } = parseSubnetEnv(text);
  const bip = subnet === undefined ? /^\w+=".*--bip=([\d./]+)/m.exec(text)?.[1] : undefined;
  return { subnet: subnet ?? parseIPv4Prefix(bip), isOverwritten: bip !== undefined };
}
