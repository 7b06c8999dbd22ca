// Receives messages into places of their own in the arena, many in one system call. A message may be a run of
// datagrams of one size that the kernel put together (UDP_GRO); a control message then gives the size.
//
// It is a closure because it is hot: the compiler takes its constants, such as the views of the arena, for constants,
// and would have to load the fields of a class for each message.
import { addressOfArena, arenaBytes, checkCount } from './arena.ts';
import type { Arena, Receiver, UdpSocket } from './contract.ts';
import { CONTROL, ENDPOINT, MESSAGE, PIECE } from './layout.ts';
import { libc } from './libc.ts';
import { EAGAIN, EINTR, MSG_DONTWAIT, MSG_TRUNC, SOL_UDP, UDP_GRO, UIO_MAXIOV } from './numbers.ts';

export interface ReceiverOptions {
  /** Most messages in one call, 1 to 1024. */
  readonly messages: number;
  /** Room for each message, 1 to 65536 bytes. No message is longer than 65,535, and a run may be as long. */
  readonly messageBytes: number;
}

/** @internal */
export const MAX_MESSAGE_BYTES = 65_536;

/** Bytes of the arena that a receiver reserves. */
export function receiverBytes({ messages, messageBytes }: ReceiverOptions): number {
  return arenaBytes(
    messages * MESSAGE.bytes,
    messages * ENDPOINT.bytes,
    messages * CONTROL.roomBytes,
    messages * PIECE.bytes,
    messages * arenaBytes(messageBytes),
  );
}

/** Makes a receiver for a socket, with `receiverBytes` of the arena. It belongs to one thread. */
export function createReceiver(arena: Arena, socket: UdpSocket, options: ReceiverOptions): Receiver {
  const capacity = checkCount('messages', options.messages, UIO_MAXIOV);
  const messageBytes = checkCount('messageBytes', options.messageBytes, MAX_MESSAGE_BYTES);
  const strideBytes = arenaBytes(messageBytes);
  const { u32 } = arena;
  const { base, low, high } = addressOfArena(arena);
  const { recvmmsg, errno: lastErrno } = libc();
  // Offsets in the arena.
  const headersAt = arena.reserve(capacity * MESSAGE.bytes);
  const sourcesAt = arena.reserve(capacity * ENDPOINT.bytes);
  const controlsAt = arena.reserve(capacity * CONTROL.roomBytes);
  const piecesAt = arena.reserve(capacity * PIECE.bytes);
  const roomAt = arena.reserve(capacity * strideBytes);
  const headers = base + BigInt(headersAt);
  // Headers that the kernel has written into since they were prepared.
  let used = capacity;

  const writeAddress = (at: number, offset: number): void => {
    u32[at >>> 2] = low + offset;
    u32[(at + 4) >>> 2] = high;
  };
  for (let i = 0; i < capacity; i += 1) {
    const header = headersAt + i * MESSAGE.bytes;
    const piece = piecesAt + i * PIECE.bytes;
    writeAddress(header + MESSAGE.endpoint, sourcesAt + i * ENDPOINT.bytes);
    writeAddress(header + MESSAGE.pieces, piece);
    writeAddress(header + MESSAGE.control, controlsAt + i * CONTROL.roomBytes);
    u32[(header + MESSAGE.pieceCount) >>> 2] = 1;
    writeAddress(piece + PIECE.address, roomAt + i * strideBytes);
    u32[(piece + PIECE.length) >>> 2] = messageBytes;
  }

  const field = (i: number, offset: number): number =>
    u32[(headersAt + i * MESSAGE.bytes + offset) >>> 2] as number;

  return {
    capacity,
    receive(most = capacity) {
      // The kernel takes a number below 0 for a large one, and would write beyond the table.
      checkCount('most', most, capacity);
      for (let i = 0; i < used; i += 1) {
        const header = headersAt + i * MESSAGE.bytes;
        u32[(header + MESSAGE.endpointLength) >>> 2] = ENDPOINT.bytes;
        u32[(header + MESSAGE.controlLength) >>> 2] = CONTROL.roomBytes;
      }
      used = 0;
      for (;;) {
        const count = recvmmsg(socket.fd, headers, most, MSG_DONTWAIT, 0n);
        if (count >= 0) {
          used = count;
          return count;
        }
        const errno = lastErrno();
        if (errno === EAGAIN) return 0;
        if (errno !== EINTR) return -errno;
      }
    },
    offset: (i) => roomAt + i * strideBytes,
    length: (i) => field(i, MESSAGE.moved),
    segmentBytes(i) {
      const length = field(i, MESSAGE.moved);
      if (field(i, MESSAGE.controlLength) < CONTROL.numberLength) return length;
      const control = controlsAt + i * CONTROL.roomBytes;
      if (u32[(control + CONTROL.level) >>> 2] !== SOL_UDP) return length;
      if (u32[(control + CONTROL.type) >>> 2] !== UDP_GRO) return length;
      const bytes = u32[(control + CONTROL.data) >>> 2] as number;
      return bytes === 0 || bytes > length ? length : bytes;
    },
    source: (i) => sourcesAt + i * ENDPOINT.bytes,
    isTruncated: (i) => (field(i, MESSAGE.flags) & MSG_TRUNC) !== 0,
  };
}
