// Guards a netlink socket against an overrun of its receive buffer. The kernel reports an overrun as an error of the
// socket, and the `netlink` package ends the process on such an error. So the guard turns the report off, and reads the
// kernel's count of lost messages instead.
//
// The package offers neither the descriptor nor the options. The descriptor is found in /proc by the socket's netlink
// port, once: that file grows with the sockets of all programs. The options are set and read through the package that
// calls the C library.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { systemClock } from '../../base/clock.ts';
import { LIMITS } from '../limits.ts';
import { type FilterInstruction, PASS_ALL } from './event-filter.ts';
import type { RtNetlinkSocket } from './library.ts';

const SOL_NETLINK = 270;
const [NETLINK_NO_ENOBUFS, NETLINK_GET_STRICT_CHK] = [5, 12];
const SOL_SOCKET = 1;
const [SO_RCVBUFFORCE, SO_MEMINFO] = [33, 55];
/** SO_MEMINFO gives nine numbers of 32 bits. The last one counts the messages that were lost. */
const [MEMINFO_BYTES, DROPS_AT] = [36, 32];

type Program = readonly FilterInstruction[];

/** Number of the routing protocol in /proc. */
export const ROUTING = 0;
/** Number of the netfilter protocol in /proc. */
export const NETFILTER = 12;

/**
 * Guards the socket with this protocol and netlink port until `signal` is aborted. Calls `onLoss` after messages were
 * lost. When it fails, the socket stays as it was made.
 */
export async function guardAgainstOverrun(
  protocol: number,
  port: number,
  onLoss: () => void,
  signal: AbortSignal,
): Promise<void> {
  const fd = await silenceOverrun(protocol, port, signal);
  const { getSocketOption } = await import('dgram-native');
  let drops = 0;
  while (!signal.aborted) {
    const info = getSocketOption(fd, SOL_SOCKET, SO_MEMINFO, MEMINFO_BYTES);
    const now = Buffer.from(info).readUInt32LE(DROPS_AT);
    if (now !== drops) onLoss();
    drops = now;
    await systemClock.sleep(LIMITS.kernelLossMs, signal).catch(() => undefined);
  }
}

/**
 * Lets the socket with this protocol and port lose messages without a word, unless `signal` is aborted: enough where
 * something else looks from time to time. Gives its descriptor. When it fails, the socket stays as it was made.
 */
export async function silenceOverrun(protocol: number, port: number, signal: AbortSignal): Promise<number> {
  const fd = await descriptorOf(protocol, port);
  const { setSocketOption } = await import('dgram-native');
  // The descriptor's number may be another file's once the socket is closed.
  if (signal.aborted) return fd;
  setSocketOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, LIMITS.kernelEventBytes);
  return fd;
}

/**
 * Gives a function that makes the kernel drop the events that a program drops, for the socket with this protocol and
 * port, until `signal` is aborted; undefined: none is dropped. Where the kernel refuses that, all events arrive.
 */
export function createEventFilter(
  protocol: number,
  port: number,
  signal: AbortSignal,
): (program: Program | undefined) => void {
  let last: Program | undefined;
  let attach: ((program: Program | undefined) => void) | undefined;
  const set = (program: Program | undefined): void => {
    last = program;
    // The descriptor's number may be another file's once the socket is closed.
    if (signal.aborted) return;
    try {
      attach?.(program);
    } catch {
      // The program from before may drop events that matter now.
      try {
        attach?.(undefined);
      } catch {}
      attach = undefined;
    }
  };
  const open = async (): Promise<void> => {
    const fd = await descriptorOf(protocol, port);
    const { attachFilter } = await import('dgram-native');
    attach = (program) => attachFilter(fd, program ?? PASS_ALL);
    if (last !== undefined) set(last);
  };
  open().catch(() => undefined);
  return set;
}

/**
 * Makes the kernel list to this socket only the entries that a request asks for. Fails where it cannot: before
 * Linux 4.20 it lists all.
 */
export async function listStrictly({ socket }: RtNetlinkSocket): Promise<void> {
  const fd = await descriptorOf(ROUTING, socket.address().port);
  const { setSocketOption } = await import('dgram-native');
  setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
}

async function descriptorOf(protocol: number, port: number): Promise<number> {
  const inode = await inodeOf(protocol, port);
  for (const name of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${name}`).catch(() => '');
    if (inode !== undefined && target === `socket:[${inode}]`) return Number(name);
  }
  throw new Error(`no descriptor has netlink port ${port}`);
}

// Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; Eth is the protocol.
async function inodeOf(protocol: number, port: number): Promise<string | undefined> {
  const text = await readFile('/proc/self/net/netlink', 'utf8');
  for (const line of text.split('\n')) {
    const [, eth, pid, , , , , , , inode] = line.trim().split(/\s+/);
    if (eth === String(protocol) && pid === String(port)) return inode;
  }
  return undefined;
}
