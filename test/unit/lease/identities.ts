// Nodes by machine, MAC and address, and their leases, for tests of whose lease is whose.
import { formatSubnets } from '../../../agent/model/lease.ts';
import { FLANNELS, type HolderBed, PREFIX, type TestNode } from './holder-bed.ts';

const HERE = '192.168.77.1';
export const THERE = '192.168.77.9';
export const SUBNET = '10.5.77.0/24';
export const KEY = `${PREFIX}/subnets/10.5.77.0-24`;
export const SELF = { ip: HERE, id: '00000000000000aa', mac: '02:00:00:00:00:01', name: 'h1' };
export const CLONE_MAC = '02:00:00:00:00:09';
export const OTHER_ID = '0000000000000099';

type Owner = typeof SELF;

/** A lease value as that node writes it. */
export const valueOf = ({ ip, id, mac, name }: Owner) => ({
  ...FLANNELS,
  PublicIP: ip,
  Node: { ID: id, MAC: mac, Name: name },
});

/** The subnet that a node uses. */
export const inUse = ({ holder }: TestNode): string | undefined =>
  holder.subnets && formatSubnets(holder.subnets);
/** The log lines about questions. */
export const questions = ({ lines }: TestNode): string[] => lines.filter((line) => /asking|asks/.test(line));
/** The revision of a key, which grows with each write. */
export const revisionOf = async ({ kv }: HolderBed, key = KEY): Promise<number> =>
  (await kv.get(key))?.revision ?? 0;
