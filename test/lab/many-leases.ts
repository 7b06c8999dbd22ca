// Fills an etcd with the leases of many nodes without a host.
import type { LabEtcd } from './datastore.ts';
import type { Lab } from './lab.ts';

/** The network of the leases. */
export const MANY_NETWORK: string = '10.0.0.0/8';
/** The last subnet before the leases; the agents take theirs from below it. */
export const SUBNET_MAX: string = '10.127.255.0';
/** The default prefix of the leases. */
export const LEASES_PREFIX: string = '/coreos.com/network';
const FIRST_SUBNET = 0x0a_80_00_00;
const FIRST_ADDRESS = 0xac_10_00_01;
/** The largest number of operations in one etcd transaction. */
const BATCH = 128;

/** The lease of an index, from 0: its subnet `10.128.0.0/24`, and its value with a MAC that begins `02:START`. */
export function leaseOf(index: number, start = '00'): { readonly subnet: string; readonly value: string } {
  const mac = ['02', start, ...[24, 16, 8, 0].map((shift) => hex((index >>> shift) & 0xff))].join(':');
  const value = {
    PublicIP: dotted(FIRST_ADDRESS + index),
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: mac },
  };
  return { subnet: `${dotted(FIRST_SUBNET + index * 256)}/24`, value: JSON.stringify(value) };
}

/** The key of a subnet's lease below a prefix such as `/coreos.com/network`. */
export function leaseKey(prefix: string, subnet: string): string {
  return `${prefix}/subnets/${subnet.replace('/', '-')}`;
}

/**
 * Writes `count` vxlan leases under one etcd lease, each with its own subnet, address and MAC, and returns the id of
 * the etcd lease in hexadecimal. With that id as `again`, it writes the first `count` of them again, with other MACs.
 */
export async function writeLeases(lab: Lab, etcd: LabEtcd, count: number, again?: string): Promise<string> {
  const granted = again === undefined ? await etcd.etcdctl('lease', 'grant', '86400') : '';
  const session = again ?? /lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? '';
  const start = again === undefined ? '00' : '01';
  const puts = Array.from({ length: count }, (_, index) => {
    const { subnet, value } = leaseOf(index, start);
    return `put --lease=${session} ${leaseKey(LEASES_PREFIX, subnet)} ${JSON.stringify(value)}`;
  });
  for (let first = 0; first < puts.length; first += BATCH) {
    // No condition, the operations, and no operations for the else branch; an empty line ends each part.
    const input = `\n${puts.slice(first, first + BATCH).join('\n')}\n\n\n`;
    const argv = ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${etcd.url}`, 'txn'];
    const answer = await lab.router.run(argv, { input });
    if (!answer.startsWith('SUCCESS')) throw new Error(`etcdctl txn: ${answer.slice(0, 200)}`);
  }
  return session;
}

function dotted(bits: number): string {
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
