// Reads the sizes of the tables of the old iptables, which take no time however many rules there are.
import { readFile } from 'node:fs/promises';
import type { ReadTableSizes, TableSizes } from '../model/ruleset.ts';

// include/uapi/linux/netfilter_ipv4/ip_tables.h. struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5],
// num_entries, size. The entry and the underflow of a hook are the places of its chain's first and last rule.
const [SOL_IP, IPT_SO_GET_INFO, INFO_BYTES] = [0, 64, 84];
const [ENTRY_AT, UNDERFLOW_AT, COUNT_AT, SIZE_AT] = [36, 56, 76, 80];
const PARENTS = [
  { table: 'nat', hook: 4 },
  { table: 'filter', hook: 2 },
  { table: 'raw', hook: 0 },
] as const;

/** Reads them in this network namespace. */
export const readTableSizes: ReadTableSizes = async () => {
  try {
    // The kernel makes a table that is asked for and does not exist.
    const existing = (await readFile('/proc/self/net/ip_tables_names', 'utf8')).split('\n');
    const { getSocketOption, openUdpSocket } = await import('dgram-native');
    // The kernel takes the question on any IPv4 socket.
    using socket = openUdpSocket({ address: '0.0.0.0', port: 0 });
    const sizes = new Map<string, TableSizes>();
    for (const { table, hook } of PARENTS) {
      if (!existing.includes(table)) continue;
      const name = Buffer.from(`${table}\0`);
      const info = Buffer.from(getSocketOption(socket.fd, SOL_IP, IPT_SO_GET_INFO, INFO_BYTES, name));
      const [first, last] = [ENTRY_AT, UNDERFLOW_AT].map((at) => info.readUInt32LE(at + 4 * hook));
      sizes.set(table, {
        parent: `${(last ?? 0) - (first ?? 0)}`,
        table: info.toString('hex', COUNT_AT),
        bytes: info.readUInt32LE(SIZE_AT),
      });
    }
    return sizes;
  } catch {
    // A kernel without the old iptables, or no right to ask.
    return undefined;
  }
};
