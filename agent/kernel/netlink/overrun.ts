// A socket whose receive buffer overruns is reported as in error, and the `netlink` package ends the process when it
// meets that. So the kernel is asked to report nothing, and what it threw away is read where it counts it.
//
// The package gives neither the descriptor nor the option: the one is found in /proc by the socket's netlink port, the
// other is set through the package that has the door to the C library.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { systemClock } from '../../base/clock.ts';
import { LIMITS } from '../limits.ts';

const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;

/** Netlink protocols, as /proc numbers them. */
export const ROUTING = 0;
export const NETFILTER = 12;

/**
 * Guards the socket with this protocol and netlink port until `signal` is aborted; `onLoss` is called when messages
 * were lost. Fails as the parts do; the socket then stays as it was made.
 */
export async function guardAgainstOverrun(
  protocol: number,
  port: number,
  onLoss: () => void,
  signal: AbortSignal,
): Promise<void> {
  const inode = (await readRow(protocol, port))?.inode;
  const fd = inode === undefined ? undefined : await descriptorOf(inode);
  if (fd === undefined) throw new Error(`no descriptor has netlink port ${port}`);
  const { setSocketOption } = await import('dgram-native');
  setSocketOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, LIMITS.kernelEventBytes);
  let drops = 0;
  while (!signal.aborted) {
    const now = (await readRow(protocol, port))?.drops ?? 0;
    if (now !== drops) onLoss();
    drops = now;
    await systemClock.sleep(LIMITS.kernelLossMs, signal).catch(() => undefined);
  }
}

interface Row {
  readonly drops: number;
  readonly inode: string;
}

// Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; Eth is the protocol.
async function readRow(protocol: number, port: number): Promise<Row | undefined> {
  const text = await readFile('/proc/self/net/netlink', 'utf8');
  for (const line of text.split('\n')) {
    const [, eth, pid, , , , , , drops, inode] = line.trim().split(/\s+/);
    if (eth === String(protocol) && pid === String(port) && inode !== undefined) {
      return { drops: Number(drops), inode };
    }
  }
  return undefined;
}

async function descriptorOf(inode: string): Promise<number | undefined> {
  for (const name of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${name}`).catch(() => '');
    if (target === `socket:[${inode}]`) return Number(name);
  }
  return undefined;
}
