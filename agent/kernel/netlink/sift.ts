// Passes over the messages of a listing that are not wanted, before the `netlink` package makes objects of them: that
// takes 40 ms for 5,000 addresses, most of the time of a look at a crowded host.
import type { NetlinkSocket } from './library.ts';

/** Whether the message whose payload is at `start` to `end` may be wanted. */
export type MayBeWanted = (bytes: Buffer, start: number, end: number) => boolean;

// include/uapi/linux/netlink.h. struct nlmsghdr: length, type, flags, sequence number, port.
const HEADER_BYTES = 16;
/** The types below are those of acknowledgements, and of the end of a listing. */
const FIRST_OWN_TYPE = 16;

/** Runs `request`, in which the unwanted messages in a row count as one of them, as long as all together. */
export async function sifting<T>(
  { socket }: NetlinkSocket,
  mayBeWanted: MayBeWanted,
  request: () => Promise<T>,
): Promise<T> {
  const sift = (bytes: Buffer): void => joinUnwanted(bytes, mayBeWanted);
  // Ahead of the package's own listener.
  socket.prependListener('message', sift);
  try {
    return await request();
  } finally {
    socket.removeListener('message', sift);
  }
}

/** Gives the first of unwanted messages in a row the length of all, in these bytes of one datagram. */
export function joinUnwanted(bytes: Buffer, mayBeWanted: MayBeWanted): void {
  let first: number | undefined;
  const join = (end: number): void => {
    if (first !== undefined) bytes.writeUInt32LE(end - first, first);
  };
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > bytes.length) return join(at);
    const next = at + ((length + 3) & ~3);
    const type = (bytes[at + 4] ?? 0) | ((bytes[at + 5] ?? 0) << 8);
    if (type < FIRST_OWN_TYPE || mayBeWanted(bytes, at + HEADER_BYTES, at + length)) {
      join(at);
      first = undefined;
    } else first ??= at;
    at = next;
  }
  join(bytes.length);
}
