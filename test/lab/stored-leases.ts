// Reads and writes the leases in the etcd of a lab, without an agent.
import { isIPv4 } from 'node:net';
import type { LabEtcd } from './datastore.ts';

/** The prefix of the leases. */
export const SUBNETS_KEY: string = '/coreos.com/network/subnets/';
/** The key of the network configuration. */
export const CONFIG_KEY: string = '/coreos.com/network/config';

export interface StoredLease {
  readonly key: string;
  /** `10.5.34.0/24` */
  readonly subnet: string;
  readonly publicIP: string;
  readonly backendType: string;
  /** Undefined for a backend without VTEPs. */
  readonly vtepMac: string | undefined;
  /** The id of its etcd lease, in hexadecimal; undefined: none. */
  readonly session: string | undefined;
  /** The whole value. */
  readonly value: Readonly<Record<string, unknown>>;
}

/** All parseable leases, by their keys. */
export async function readLeases(etcd: LabEtcd): Promise<StoredLease[]> {
  const text = await etcd.etcdctl('get', '--prefix', SUBNETS_KEY, '--write-out=json');
  // Ids of etcd leases may exceed the safe integers of JavaScript.
  const exact = text.replaceAll(/"lease":(\d+)/g, '"lease":"$1"');
  const { kvs = [] } = JSON.parse(exact) as {
    kvs?: readonly { readonly key: string; readonly value: string; readonly lease?: string }[];
  };
  return kvs.flatMap(({ key, value, lease }) => {
    const found = readLease(decode(key), decode(value));
    return found === undefined
      ? []
      : [{ ...found, session: lease === undefined ? undefined : BigInt(lease).toString(16) }];
  });
}

function readLease(key: string, text: string): Omit<StoredLease, 'session'> | undefined {
  const [, address, length] = /\/subnets\/([\d.]+)-(\d+)$/.exec(key) ?? [];
  if (address === undefined || !isIPv4(address)) return undefined;
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const { PublicIP: publicIP, BackendType: backendType, BackendData: data } = value;
    if (typeof publicIP !== 'string' || !isIPv4(publicIP) || typeof backendType !== 'string')
      return undefined;
    const { VtepMAC: mac } = (data ?? {}) as { VtepMAC?: unknown };
    const vtepMac = typeof mac === 'string' ? mac : undefined;
    return { key, subnet: `${address}/${length}`, publicIP, backendType, vtepMac, value };
  } catch {
    return undefined;
  }
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}

/** A lease of a node without a host. */
export interface StrangerLease {
  readonly key: string;
  readonly subnet: string;
  readonly value: string;
}

/** Builds a lease of a node without a host. `number` is from 1 to 99; no agent gets such a subnet. */
export function strangerLease(number: number, backendType: string): StrangerLease {
  const mac = `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`;
  const value = JSON.stringify({
    PublicIP: `192.168.77.${100 + number}`,
    PublicIPv6: null,
    BackendType: backendType,
    ...(backendType === 'vxlan' ? { BackendData: { VNI: 1, VtepMAC: mac } } : {}),
  });
  const base = `10.5.${150 + number}.0`;
  return { key: `${SUBNETS_KEY}${base}-24`, subnet: `${base}/24`, value };
}

/** Writes the value of a lease again, under the same etcd lease. */
export async function rewriteLease(
  etcd: LabEtcd,
  { key, session, value }: StoredLease,
  changes: Readonly<Record<string, unknown>>,
): Promise<void> {
  const flags = session === undefined ? [] : [`--lease=${session}`];
  await etcd.etcdctl('put', ...flags, key, JSON.stringify({ ...value, ...changes }));
}
