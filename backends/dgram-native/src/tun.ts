// TUN devices: opening, keeping and deleting them. Packet files read and write their packets.
import type { Tun } from './contract.ts';
import { libc } from './libc.ts';
import {
  IFF_NO_PI,
  IFF_TUN,
  IFF_VNET_HDR,
  O_RDWR_NONBLOCK_CLOEXEC,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNSETGROUP,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETOWNER,
  TUNSETPERSIST,
  TUNSETVNETHDRSZ,
} from './numbers.ts';
import { Descriptor, invoke, scratch } from './system-call.ts';

export interface TunOptions {
  /** Name of the device, 1 to 15 bytes. A device that exists is taken over in the state it was left in. */
  readonly name: string;
  /**
   * Numbers of the user and the group that may open the device. Others need CAP_NET_ADMIN then. Default: the owner that
   * it has; a new device has none, and whoever may open /dev/net/tun may open it too.
   */
  readonly owner?: { readonly user: number; readonly group: number };
  /** False: packets have one segment and complete checksums, as if the kernel could do no more. Default true. */
  readonly runs?: boolean;
}

/** The values that another thread needs to use an open device. They are plain and can be posted to it. */
export type TunHandle = Pick<Tun, 'fd' | 'name' | 'tcpRuns' | 'udpRuns'>;

const DEVICE = '/dev/net/tun';
const NAME_BYTES = 16;
const VNET_HEADER_BYTES = 10;

// The offloads that are tried, from all to none; the kernel takes USO for both families or for none.
const TCP = TUN_F_CSUM | TUN_F_TSO4;
const UDP = TUN_F_USO4 | TUN_F_USO6;
const STEPS = [TCP | UDP, TCP, 0];

/**
 * Opens a TUN device, and makes it where it is missing. Unless it is persistent, the device disappears when it is
 * closed. Needs CAP_NET_ADMIN.
 *
 * Throws a SystemError: EBUSY where it is open already, EINVAL where a device of another kind has the name.
 */
export function openTun({ name, owner, runs = true }: TunOptions): Tun {
  const descriptor = openDevice(name);
  const { fd } = descriptor;
  try {
    const { i32, address } = scratch();
    i32[0] = VNET_HEADER_BYTES;
    const what = `cannot open TUN device ${name}`;
    invoke('ioctl TUNSETVNETHDRSZ', what, () => libc().ioctl(fd, TUNSETVNETHDRSZ, address));
    if (owner !== undefined) {
      invoke('ioctl TUNSETOWNER', what, () => libc().ioctl(fd, TUNSETOWNER, BigInt(owner.user)));
      invoke('ioctl TUNSETGROUP', what, () => libc().ioctl(fd, TUNSETGROUP, BigInt(owner.group)));
    }
    // No offloads are requested explicitly too: a persistent device remembers those of its last user.
    const offloads =
      (runs ? STEPS : [0]).find((flags) => libc().ioctl(fd, TUNSETOFFLOAD, BigInt(flags)) >= 0) ?? 0;
    const handle = { fd, name, tcpRuns: (offloads & TUN_F_TSO4) !== 0, udpRuns: (offloads & UDP) !== 0 };
    return new KernelTun(descriptor, handle, descriptor);
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

/** Uses a device that another thread opened and keeps open meanwhile. Disposing of it does not close the device. */
export function attachTun(handle: TunHandle): Tun {
  return new KernelTun({ fd: handle.fd }, handle);
}

/**
 * Deletes a persistent TUN device; does nothing where there is none. Throws a SystemError: EBUSY where it is open,
 * EINVAL where a device of another kind has the name.
 */
export function deleteTun(name: string): void {
  checkName(name);
  if (libc().if_nametoindex(name) === 0) return;
  using descriptor = openDevice(name);
  setPersistent(descriptor.fd, name, false);
}

class KernelTun implements Tun {
  readonly name: string;
  readonly tcpRuns: boolean;
  readonly udpRuns: boolean;
  readonly #held: { readonly fd: number };
  readonly #owned: Disposable | undefined;

  constructor(held: { readonly fd: number }, handle: TunHandle, owned?: Disposable) {
    this.#held = held;
    this.#owned = owned;
    this.name = handle.name;
    this.tcpRuns = handle.tcpRuns;
    this.udpRuns = handle.udpRuns;
  }

  get fd(): number {
    return this.#held.fd;
  }

  setPersistent(persistent: boolean): void {
    setPersistent(this.fd, this.name, persistent);
  }

  [Symbol.dispose](): void {
    this.#owned?.[Symbol.dispose]();
  }
}

function openDevice(name: string): Descriptor {
  checkName(name);
  const what = `cannot open TUN device ${name}`;
  const descriptor = new Descriptor(
    invoke(`open ${DEVICE}`, what, () => libc().open(DEVICE, O_RDWR_NONBLOCK_CLOEXEC)),
  );
  try {
    const { u8, u16, address } = scratch();
    u8.set(new TextEncoder().encode(name));
    u16[NAME_BYTES / 2] = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    invoke('ioctl TUNSETIFF', what, () => libc().ioctl(descriptor.fd, TUNSETIFF, address));
    return descriptor;
  } catch (error) {
    descriptor[Symbol.dispose]();
    throw error;
  }
}

function setPersistent(fd: number, name: string, persistent: boolean): void {
  const what = `cannot make TUN device ${name} ${persistent ? 'persistent' : 'passing'}`;
  invoke('ioctl TUNSETPERSIST', what, () => libc().ioctl(fd, TUNSETPERSIST, persistent ? 1n : 0n));
}

// The kernel's own rule, and no percent sign, which would ask the kernel to number the device.
function checkName(name: string): void {
  const isName = /^[^\s/:%\0]+$/.test(name) && name !== '.' && name !== '..';
  if (!isName || new TextEncoder().encode(name).length >= NAME_BYTES) {
    throw new RangeError(`"${name}" cannot be the name of a device`);
  }
}
