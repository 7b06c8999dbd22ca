// Fills an etcd with the leases of many nodes that are not there.
import type { LabEtcd } from '../lab/datastore.ts';
import type { Lab } from '../lab/lab.ts';

/** The network that the leases are of, and the first of their subnets. */
export const MANY_NETWORK: string = '10.0.0.0/8';
const FIRST_SUBNET = 0x0a_80_00_00;
const FIRST_ADDRESS = 0xac_10_00_01;
/** Most operations that etcd takes in one transaction. */
const BATCH = 128;

/**
 * Writes `count` vxlan leases, each with a subnet, an address and a MAC of its own, under one etcd lease, and gives its
 * number in hexadecimal. With that number the first `count` of them are written anew, with other MACs.
 */
export async function writeLeases(lab: Lab, etcd: LabEtcd, count: number, again?: string): Promise<string> {
  const granted = again === undefined ? await etcd.etcdctl('lease', 'grant', '86400') : '';
  const session = again ?? /lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? '';
  const start = again === undefined ? '00' : '01';
  const puts = Array.from({ length: count }, (_, index) => {
    const mac = ['02', start, ...[24, 16, 8, 0].map((shift) => hex((index >>> shift) & 0xff))].join(':');
    const value = JSON.stringify({
      PublicIP: dotted(FIRST_ADDRESS + index),
      PublicIPv6: null,
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: mac },
    });
    const key = `/coreos.com/network/subnets/${dotted(FIRST_SUBNET + index * 256)}-24`;
    return `put --lease=${session} ${key} ${JSON.stringify(value)}`;
  });
  for (let first = 0; first < puts.length; first += BATCH) {
    // No condition, what to do, and nothing else to do, each ended by an empty line.
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
