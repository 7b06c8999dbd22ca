// The one door to foreign functions: the C library's system calls as JavaScript functions.
//
// An address is not checked by anything: in a system call a wrong one is EFAULT at best and foreign memory at worst. So
// no address leaves this package, and each is computed from the address of an arena or a scratch block and a checked
// offset. Addresses are bigints: types then tell them from offsets, and a kept one is passed as it is, where a number
// of that size would be allocated for each call. Functions that move packets compute no address.
//
// Results are declared as `int`: none of these calls gives more than 2^31 here, and a number that small is not
// allocated. The library is opened when the first call needs it, so that importing the package fails nowhere.
import { createRequire } from 'node:module';
import { arch, endianness, platform } from 'node:os';
import type * as Koffi from 'koffi';
import { UnsupportedError } from './errors.ts';

// The types of arguments, under koffi's names.
const INT = 'int';
const SIZE = 'size_t';
const ADDRESS = 'int64';
const TEXT = 'str';

interface Arguments {
  readonly [INT]: number;
  readonly [SIZE]: number;
  readonly [ADDRESS]: bigint;
  readonly [TEXT]: string;
}

const FUNCTIONS = {
  open: [TEXT, INT],
  close: [INT],
  read: [INT, ADDRESS, SIZE],
  write: [INT, ADDRESS, SIZE],
  readv: [INT, ADDRESS, INT],
  writev: [INT, ADDRESS, INT],
  ioctl: [INT, SIZE, ADDRESS],
  poll: [ADDRESS, SIZE, INT],
  eventfd: [INT, INT],
  socket: [INT, INT, INT],
  bind: [INT, ADDRESS, INT],
  connect: [INT, ADDRESS, INT],
  getsockname: [INT, ADDRESS, ADDRESS],
  getsockopt: [INT, INT, INT, ADDRESS, ADDRESS],
  setsockopt: [INT, INT, INT, ADDRESS, INT],
  sendmmsg: [INT, ADDRESS, INT, INT],
  recvmmsg: [INT, ADDRESS, INT, INT, ADDRESS],
  if_nametoindex: [TEXT],
} as const;

type Values<Signature extends readonly (keyof Arguments)[]> = {
  -readonly [K in keyof Signature]: Arguments[Signature[K]];
};

/** The system calls, with the results of C: below 0 the call was refused, and `errno()` says why. */
export type Libc = {
  readonly [Name in keyof typeof FUNCTIONS]: (...args: Values<(typeof FUNCTIONS)[Name]>) => number;
} & {
  /** The errno of this thread's last call. */
  readonly errno: () => number;
  /** The address of an array's first byte. It keeps nothing alive: its user must hold the array. */
  addressOf(bytes: Uint8Array): bigint;
};

// All have 64 bits, are little endian, and have the generic numbers of ioctls and options.
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

let loaded: Libc | undefined;

/** The C library of this process. Throws an UnsupportedError where the package cannot work. */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  if (platform() !== 'linux') throw new UnsupportedError(`needs Linux; this is ${platform()}`);
  if (endianness() !== 'LE') throw new UnsupportedError('needs a little-endian processor');
  if (!ARCHITECTURES.includes(arch())) {
    throw new UnsupportedError(`needs a processor of ${ARCHITECTURES.join(', ')}; this is ${arch()}`);
  }
  let koffi: typeof Koffi;
  let library: Koffi.LibraryHandle;
  try {
    koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    // The process itself, which has its C library loaded, be it glibc or musl.
    library = koffi.load(null);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UnsupportedError(`cannot call the C library: ${why}`, { cause: error });
  }
  const functions = Object.entries(FUNCTIONS).map(([name, signature]) => [
    name,
    library.func(name, INT, [...signature]),
  ]);
  return {
    ...(Object.fromEntries(functions) as Omit<Libc, 'errno' | 'addressOf'>),
    errno: () => koffi.errno(),
    addressOf: (bytes) => koffi.address(bytes),
  };
}
