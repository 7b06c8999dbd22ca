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

/**
 * Gives an option of any socket of this process as its first `bytes` bytes, at most 96. `input` goes to the kernel with
 * the request; a few options want one. Throws a SystemError.
 */
export function getSocketOption(
  fd: number,
  level: number,
  option: number,
  bytes: number,
  input: Uint8Array = new Uint8Array(),
): Uint8Array {
  if (bytes > MOST_BYTES || input.length > bytes)
    throw new RangeError(`an option has at most ${MOST_BYTES} bytes`);
  const { u8, u32, address } = scratch();
  u8.set(input);
  u32[MOST_BYTES >>> 2] = bytes;
  const what = `cannot read option ${option} of level ${level} of descriptor ${fd}`;
  invoke('getsockopt', what, () =>
    libc().getsockopt(fd, level, option, address, address + BigInt(MOST_BYTES)),
  );
  return u8.slice(0, bytes);
}

/** The scratch bytes end with the length. */
const MOST_BYTES = 96;
