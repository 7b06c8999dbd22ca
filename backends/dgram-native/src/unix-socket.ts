// Datagrams to sockets of this machine (AF_UNIX), which Node cannot open.
import { libc } from './libc.ts';
import { AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC } from './numbers.ts';
import { Descriptor, invoke, scratch } from './system-call.ts';

/** Bytes of the path in struct sockaddr_un, with the zero byte at its end. It stands after the family. */
const PATH_BYTES = 108;
const PATH_AT = 2;

/**
 * Sends one datagram to the socket at an absolute path, or at `@name` in the abstract namespace, from a socket without
 * a name. Never waits: a full receiver is EAGAIN. Throws a SystemError, or a RangeError for an address that is none.
 */
export function sendUnixDatagram(address: string, bytes: Uint8Array): void {
  // A path ends with a zero byte. An abstract name begins with one, and ends with the address.
  const path = Buffer.from(address.startsWith('@') ? `\0${address.slice(1)}` : `${address}\0`);
  if (!/^[/@][^\0]+$/.test(address) || path.length > PATH_BYTES)
    throw new RangeError(`"${address}" is not the address of a Unix socket`);
  const what = `cannot send to ${address}`;
  const fd = invoke('socket', what, () => libc().socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0));
  using socket = new Descriptor(fd);
  const { u8, u16, address: at } = scratch();
  u16[0] = AF_UNIX;
  u8.set(path, PATH_AT);
  invoke('connect', what, () => libc().connect(socket.fd, at, PATH_AT + path.length));
  // The bytes of a small typed array may move; those of a buffer of its own do not.
  const content = new Uint8Array(new ArrayBuffer(bytes.length));
  content.set(bytes);
  const from = libc().addressOf(content);
  // `content.length` also keeps the array until the call is over.
  invoke('write', what, () => libc().write(socket.fd, from, content.length));
}
