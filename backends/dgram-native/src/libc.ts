// The one door to foreign functions: the C library's system calls as JavaScript functions.
//
// Nobody checks an address: a wrong one in a system call is EFAULT at best and somebody else's memory at worst. So no
// address leaves this package, and none is made of anything but an arena's or a scratch block's own and a checked
// offset. Addresses are bigints: the compiler then tells them from offsets, and one that is kept is handed over as it
// is, where a number of that size would be allocated anew for each call. What moves packets computes no address.
//
// Results are declared as `int`: none of these calls gives more than 2^31 here, and a number that small is not
// allocated. The library is opened when the first call needs it, so that importing the package fails nowhere.
import { createRequire } from 'node:module';
import { arch, endianness, platform } from 'node:os';
import type * as Koffi from 'koffi';
import { UnsupportedError } from './errors.ts';

// The arguments, in the words of the library.
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

/** The system calls. Each gives what C gives: below 0 it was refused, and `errno()` says why. */
export type Libc = {
  readonly [Name in keyof typeof FUNCTIONS]: (...args: Values<(typeof FUNCTIONS)[Name]>) => number;
} & {
  /** The errno of this thread's last call. */
  readonly errno: () => number;
  /** Where the bytes of an array begin. Keeps nothing alive: whoever uses the address holds the array. */
  addressOf(bytes: Uint8Array): bigint;
};

// All have 64 bits, little endian, and the generic numbers of ioctls and options.
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
    // The process itself: it has the C library that it runs with, glibc or musl, whatever the file is called.
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
