// Options of sockets, one number at a time.
import { libc } from './libc.ts';
import { SOL_SOCKET } from './numbers.ts';
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

/** An instruction of classic BPF: code, jumps if true and if false, and its number. */
export type FilterInstruction = readonly [code: number, ifTrue: number, ifFalse: number, number: number];

/**
 * Attaches a program of classic BPF to any socket of this process: the kernel drops messages for which it gives 0. It
 * takes the place of an earlier one. Throws a SystemError, with EINVAL where the program is none.
 */
export function attachFilter(fd: number, program: readonly FilterInstruction[]): void {
  // The kernel copies the program before the call returns, so it is enough that `bytes` lives until then.
  const bytes = new DataView(new ArrayBuffer(program.length * INSTRUCTION_BYTES));
  for (const [place, [code, ifTrue, ifFalse, number]] of program.entries()) {
    const at = place * INSTRUCTION_BYTES;
    bytes.setUint16(at, code, true);
    bytes.setUint8(at + 2, ifTrue);
    bytes.setUint8(at + 3, ifFalse);
    bytes.setUint32(at + 4, number, true);
  }
  const { u16, u8, address } = scratch();
  u16[0] = program.length;
  new DataView(u8.buffer).setBigInt64(8, libc().addressOf(new Uint8Array(bytes.buffer)), true);
  const what = `cannot attach a filter to descriptor ${fd}`;
  invoke('setsockopt', what, () => libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, address, 16));
  // Used after the call, so that it is not collected before.
  if (bytes.byteLength === 0) throw new RangeError('a filter has an instruction');
}

const INSTRUCTION_BYTES = 8;
const SO_ATTACH_FILTER = 26;
