// Receives messages into places of their own in the arena, many in one system call. A message may be a run of
// datagrams of one size that the kernel put together (UDP_GRO); it says the size in a control message.
import { addressOfArena, checkCount } from './arena.ts';
import type { Arena, Receiver, UdpSocket } from './contract.ts';
import { CONTROL, MESSAGE, NAME, PIECE, swap16, swap32 } from './layout.ts';
import { type Libc, libc } from './libc.ts';
import { EAGAIN, EINTR, MSG_DONTWAIT, MSG_TRUNC, SOL_UDP, UDP_GRO, UIO_MAXIOV } from './numbers.ts';

export interface ReceiverOptions {
  /** Most messages in one call, 1 to 1024. */
  readonly messages: number;
  /** Room for each message; the longest is 65,535, and a run may be as long. */
  readonly messageBytes: number;
}

const MAX_MESSAGE_BYTES = 65_536;
/** Where the kernel copies to fastest. */
const ROOM_BOUNDARY = 64;

/** Makes a receiver for a socket, with its tables and the room for its messages in the arena. Of one thread. */
export function createReceiver(arena: Arena, socket: UdpSocket, options: ReceiverOptions): Receiver {
  return new KernelReceiver(
    arena,
    socket,
    checkCount('messages', options.messages, UIO_MAXIOV),
    checkCount('messageBytes', options.messageBytes, MAX_MESSAGE_BYTES),
  );
}

class KernelReceiver implements Receiver {
  readonly #arena: Arena;
  readonly #socket: UdpSocket;
  readonly #libc: Libc;
  readonly #headers: bigint;
  readonly #messages: number;
  readonly #strideBytes: number;
  // Offsets in the arena.
  readonly #headersAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  readonly #roomAt: number;
  // How many headers the kernel has written into since they were prepared.
  #used: number;

  constructor(arena: Arena, socket: UdpSocket, messages: number, messageBytes: number) {
    const { base, low, high } = addressOfArena(arena);
    this.#arena = arena;
    this.#socket = socket;
    this.#libc = libc();
    this.#messages = messages;
    this.#strideBytes = Math.ceil(messageBytes / ROOM_BOUNDARY) * ROOM_BOUNDARY;
    this.#headersAt = arena.reserve(messages * MESSAGE.bytes);
    this.#namesAt = arena.reserve(messages * NAME.bytes);
    this.#controlsAt = arena.reserve(messages * CONTROL.roomBytes);
    const piecesAt = arena.reserve(messages * PIECE.bytes);
    this.#roomAt = arena.reserve(messages * this.#strideBytes);
    this.#headers = base + BigInt(this.#headersAt);
    this.#used = messages;
    const { u32 } = arena;
    const writeAddress = (at: number, offset: number): void => {
      u32[at >>> 2] = low + offset;
      u32[(at + 4) >>> 2] = high;
    };
    for (let i = 0; i < messages; i += 1) {
      const header = this.#headersAt + i * MESSAGE.bytes;
      const piece = piecesAt + i * PIECE.bytes;
      writeAddress(header + MESSAGE.name, this.#namesAt + i * NAME.bytes);
      writeAddress(header + MESSAGE.pieces, piece);
      writeAddress(header + MESSAGE.control, this.#controlsAt + i * CONTROL.roomBytes);
      u32[(header + MESSAGE.pieceCount) >>> 2] = 1;
      writeAddress(piece + PIECE.address, this.offset(i));
      u32[(piece + PIECE.length) >>> 2] = messageBytes;
    }
  }

  receive(most = this.#messages): number {
    // The kernel takes a number below 0 for a large one.
    checkCount('most', most, this.#messages);
    const { u32 } = this.#arena;
    for (let i = 0; i < this.#used; i += 1) {
      const header = this.#headersAt + i * MESSAGE.bytes;
      u32[(header + MESSAGE.nameLength) >>> 2] = NAME.bytes;
      u32[(header + MESSAGE.controlLength) >>> 2] = CONTROL.roomBytes;
    }
    this.#used = 0;
    for (;;) {
      const count = this.#libc.recvmmsg(this.#socket.fd, this.#headers, most, MSG_DONTWAIT, 0n);
      if (count >= 0) {
        this.#used = count;
        return count;
      }
      const errno = this.#libc.errno();
      if (errno === EAGAIN) return 0;
      if (errno !== EINTR) return -errno;
    }
  }

  offset(i: number): number {
    return this.#roomAt + i * this.#strideBytes;
  }

  length(i: number): number {
    return this.#header(i, MESSAGE.moved);
  }

  segmentBytes(i: number): number {
    const length = this.length(i);
    if (this.#header(i, MESSAGE.controlLength) < CONTROL.numberLength) return length;
    const { u32 } = this.#arena;
    const control = this.#controlsAt + i * CONTROL.roomBytes;
    if (u32[(control + CONTROL.level) >>> 2] !== SOL_UDP) return length;
    if (u32[(control + CONTROL.type) >>> 2] !== UDP_GRO) return length;
    const bytes = u32[(control + CONTROL.data) >>> 2] as number;
    return bytes === 0 || bytes > length ? length : bytes;
  }

  sourceAddress(i: number): number {
    return swap32(this.#arena.u32[(this.#namesAt + i * NAME.bytes + NAME.address) >>> 2] as number);
  }

  sourcePort(i: number): number {
    return swap16(this.#arena.u16[(this.#namesAt + i * NAME.bytes + NAME.port) >>> 1] as number);
  }

  isTruncated(i: number): boolean {
    return (this.#header(i, MESSAGE.flags) & MSG_TRUNC) !== 0;
  }

  #header(i: number, field: number): number {
    return this.#arena.u32[(this.#headersAt + i * MESSAGE.bytes + field) >>> 2] as number;
  }
}
