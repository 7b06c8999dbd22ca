// A wakeup between threads (eventfd). A message port cannot reach a thread that waits in a poller; a wakeup can, since
// it is one of the descriptors that the thread waits for.
import type { Wakeup } from './contract.ts';
import { libc } from './libc.ts';
import { EAGAIN, EFD_NONBLOCK_CLOEXEC } from './numbers.ts';
import { Descriptor, invoke, scratch } from './system-call.ts';

const COUNT_BYTES = 8;

/** Makes a wakeup. Throws a SystemError where no descriptor is left. */
export function createWakeup(): Wakeup {
  const fd = invoke('eventfd', 'cannot make a wakeup', () => libc().eventfd(0, EFD_NONBLOCK_CLOEXEC));
  const descriptor = new Descriptor(fd);
  return new EventWakeup(descriptor, descriptor);
}

/** Uses a wakeup that another thread made and keeps open meanwhile. Disposing of it does not close the wakeup. */
export function attachWakeup(fd: number): Wakeup {
  return new EventWakeup({ fd });
}

class EventWakeup implements Wakeup {
  readonly #held: { readonly fd: number };
  readonly #owned: Disposable | undefined;

  constructor(held: { readonly fd: number }, owned?: Disposable) {
    this.#held = held;
    this.#owned = owned;
  }

  get fd(): number {
    return this.#held.fd;
  }

  ring(): void {
    const { u32, address } = scratch();
    u32[0] = 1;
    this.#invoke('write', 'cannot ring a wakeup', () => libc().write(this.fd, address, COUNT_BYTES));
  }

  clear(): void {
    const { address } = scratch();
    this.#invoke('read', 'cannot clear a wakeup', () => libc().read(this.fd, address, COUNT_BYTES));
  }

  // EAGAIN says of a write that the count of rings is full, and of a read that there was no ring.
  #invoke(syscall: string, what: string, call: () => number): void {
    invoke(syscall, what, () => {
      const result = call();
      return result < 0 && libc().errno() === EAGAIN ? 0 : result;
    });
  }

  [Symbol.dispose](): void {
    this.#owned?.[Symbol.dispose]();
  }
}
