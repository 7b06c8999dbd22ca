// Options of sockets, one number at a time.
import { libc } from './libc.ts';
import { invoke, scratch } from './system-call.ts';

/** Sets an option to a number. Throws a SystemError whose message begins with `what`. */
export function setOption(fd: number, level: number, option: number, value: number, what: string): void {
  const { i32, address } = scratch();
  i32[0] = value;
  invoke('setsockopt', what, () => libc().setsockopt(fd, level, option, address, 4));
}

/**
 * Sets an option of any socket of this process to a number, also of one that Node or another package opened. Throws a
 * SystemError.
 */
export function setSocketOption(fd: number, level: number, option: number, value: number): void {
  setOption(fd, level, option, value, `cannot set option ${option} of level ${level} of descriptor ${fd}`);
}

/** Sets an option to a number where the kernel takes it, and gives whether it did. */
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
