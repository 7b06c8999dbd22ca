// Options and addresses of sockets, one number at a time.
import { swap16, swap32 } from './layout.ts';
import { libc } from './libc.ts';
import { AF_INET } from './numbers.ts';
import { invoke, scratch } from './system-call.ts';

/** Sets an option to a number. Throws a SystemError that begins with `what`. */
export function setOption(fd: number, level: number, option: number, value: number, what: string): void {
  const { i32, address } = scratch();
  i32[0] = value;
  invoke('setsockopt', what, () => libc().setsockopt(fd, level, option, address, 4));
}

/**
 * Sets an option of any socket of this process, one that Node or another package opened too, to a number. Throws a
 * SystemError.
 */
export function setSocketOption(fd: number, level: number, option: number, value: number): void {
  setOption(fd, level, option, value, `cannot set option ${option} of level ${level} of descriptor ${fd}`);
}

/** The same; whether the kernel took it. */
export function trySetOption(fd: number, level: number, option: number, value: number): boolean {
  const { i32, address } = scratch();
  i32[0] = value;
  return libc().setsockopt(fd, level, option, address, 4) >= 0;
}

/** An option that is a number; undefined where the kernel does not give it. */
export function getOption(fd: number, level: number, option: number): number | undefined {
  const { i32, address } = scratch();
  i32[1] = 4;
  return libc().getsockopt(fd, level, option, address, address + 4n) < 0 ? undefined : i32[0];
}

/** Writes a sockaddr_in into the scratch bytes. Gives its address; its length is 16. */
export function scratchName(ip: number, port: number): bigint {
  const { u16, u32, address } = scratch();
  u16[0] = AF_INET;
  u16[1] = swap16(port);
  u32[1] = swap32(ip);
  return address;
}

/** What a socket is bound to. Throws a SystemError. */
export function boundName(fd: number, what: string): { readonly address: number; readonly port: number } {
  const { u16, u32, address } = scratch();
  u32[4] = 16;
  invoke('getsockname', what, () => libc().getsockname(fd, address, address + 16n));
  return { address: swap32(u32[1] ?? 0), port: swap16(u16[1] ?? 0) };
}
