// Writes messages down in the kernel's own form, and sends them with as few system calls as it takes.
//
// A message may be a run: many datagrams of one size, cut by the kernel (UDP_SEGMENT). Where the kernel cannot, or
// says so only when it is tried, the run is cut here, and the datagrams leave one by one in batches.
import { type ArenaAddress, addressesOfTable, addressOfArena, checkCount, checkRange } from './arena.ts';
import type { Arena, Sender, UdpSocket } from './contract.ts';
import { DatagramCutter } from './datagram-cutter.ts';
import { CONTROL, MESSAGE, NAME, PIECE, swap16, swap32 } from './layout.ts';
import { type Libc, libc } from './libc.ts';
import {
  AF_INET,
  EAGAIN,
  EINTR,
  EINVAL,
  EIO,
  MSG_DONTWAIT,
  SOL_UDP,
  UDP_SEGMENT,
  UIO_MAXIOV,
} from './numbers.ts';

export interface SenderOptions {
  /** Most messages in one flush, 1 to 1024. */
  readonly messages: number;
  /** Most pieces in all messages of one flush. The kernel takes at most 1024 in one message. */
  readonly pieces: number;
}

/** The longest run that every kernel cuts; one that is longer may be refused by the kernel, and is then cut here. */
export const MAX_RUN_DATAGRAMS = 64;

const MAX_PIECES = 65_536;

/** Makes a sender for a socket, with its tables in the arena. Of one thread; a socket may have several. */
export function createSender(arena: Arena, socket: UdpSocket, options: SenderOptions): Sender {
  return new KernelSender(
    arena,
    socket,
    checkCount('messages', options.messages, UIO_MAXIOV),
    checkCount('pieces', options.pieces, MAX_PIECES),
  );
}

class KernelSender implements Sender {
  readonly #arena: Arena;
  readonly #socket: UdpSocket;
  readonly #libc: Libc;
  readonly #address: ArenaAddress;
  readonly #cutter: DatagramCutter;
  readonly #maxMessages: number;
  readonly #maxPieces: number;
  // Offsets in the arena: of the messages, and of what each of them has.
  readonly #headersAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  readonly #piecesAt: number;
  readonly #headers: readonly bigint[];
  readonly #segmentBytes: Uint16Array;
  readonly #messageBytes: Uint32Array;
  readonly #refusedMessage: Uint16Array;
  readonly #refusedErrno: Uint16Array;
  #messages = 0;
  #pieces = 0;
  #refused = 0;

  constructor(arena: Arena, socket: UdpSocket, messages: number, pieces: number) {
    this.#arena = arena;
    this.#socket = socket;
    this.#libc = libc();
    this.#address = addressOfArena(arena);
    this.#cutter = new DatagramCutter(arena, pieces);
    this.#maxMessages = messages;
    this.#maxPieces = pieces;
    this.#headersAt = arena.reserve(messages * MESSAGE.bytes);
    this.#namesAt = arena.reserve(messages * NAME.bytes);
    this.#controlsAt = arena.reserve(messages * CONTROL.shortBytes);
    this.#piecesAt = arena.reserve(pieces * PIECE.bytes);
    this.#headers = addressesOfTable(this.#address.base, this.#headersAt, MESSAGE.bytes, messages);
    this.#segmentBytes = new Uint16Array(messages);
    this.#messageBytes = new Uint32Array(messages);
    this.#refusedMessage = new Uint16Array(messages);
    this.#refusedErrno = new Uint16Array(messages);
    this.#writeConstants();
  }

  // What is the same in every message and in every piece is written once.
  #writeConstants(): void {
    const { u16, u32 } = this.#arena;
    const { low, high } = this.#address;
    for (let i = 0; i < this.#maxMessages; i += 1) {
      const header = this.#headersAt + i * MESSAGE.bytes;
      const name = this.#namesAt + i * NAME.bytes;
      const control = this.#controlsAt + i * CONTROL.shortBytes;
      u32[(header + MESSAGE.name) >>> 2] = low + name;
      u32[(header + MESSAGE.name + 4) >>> 2] = high;
      u32[(header + MESSAGE.nameLength) >>> 2] = NAME.bytes;
      u32[(header + MESSAGE.pieces + 4) >>> 2] = high;
      u32[(header + MESSAGE.control) >>> 2] = low + control;
      u32[(header + MESSAGE.control + 4) >>> 2] = high;
      u16[(name + NAME.family) >>> 1] = AF_INET;
      u32[(control + CONTROL.length) >>> 2] = CONTROL.shortLength;
      u32[(control + CONTROL.level) >>> 2] = SOL_UDP;
      u32[(control + CONTROL.type) >>> 2] = UDP_SEGMENT;
    }
    for (let i = 0; i < this.#maxPieces; i += 1) {
      u32[(this.#piecesAt + i * PIECE.bytes + PIECE.address + 4) >>> 2] = high;
    }
  }

  get freeMessages(): number {
    return this.#maxMessages - this.#messages;
  }

  get freePieces(): number {
    return this.#maxPieces - this.#pieces;
  }

  begin(address: number, port: number, segmentBytes: number): void {
    const i = this.#messages;
    if (i === this.#maxMessages) throw new RangeError(`no room for more than ${i} messages`);
    if (!(segmentBytes >= 0 && segmentBytes <= 0xffff)) {
      throw new RangeError(`datagrams of ${segmentBytes} bytes cannot be sent`);
    }
    const { u16, u32 } = this.#arena;
    const header = this.#headersAt + i * MESSAGE.bytes;
    const name = this.#namesAt + i * NAME.bytes;
    u16[(name + NAME.port) >>> 1] = swap16(port);
    u32[(name + NAME.address) >>> 2] = swap32(address);
    u32[(header + MESSAGE.pieces) >>> 2] = this.#address.low + this.#piecesAt + this.#pieces * PIECE.bytes;
    u32[(header + MESSAGE.pieceCount) >>> 2] = 0;
    u32[(header + MESSAGE.controlLength) >>> 2] = 0;
    u16[(this.#controlsAt + i * CONTROL.shortBytes + CONTROL.data) >>> 1] = segmentBytes;
    this.#segmentBytes[i] = segmentBytes;
    this.#messageBytes[i] = 0;
    this.#messages = i + 1;
  }

  append(offset: number, length: number): void {
    const i = this.#messages - 1;
    if (i < 0) throw new RangeError('a piece belongs to a message: begin one');
    if (this.#pieces === this.#maxPieces)
      throw new RangeError(`no room for more than ${this.#pieces} pieces`);
    checkRange(this.#arena, offset, length);
    const { u32 } = this.#arena;
    const piece = this.#piecesAt + this.#pieces * PIECE.bytes;
    const header = this.#headersAt + i * MESSAGE.bytes;
    u32[(piece + PIECE.address) >>> 2] = this.#address.low + offset;
    u32[(piece + PIECE.length) >>> 2] = length;
    u32[(header + MESSAGE.pieceCount) >>> 2] = (u32[(header + MESSAGE.pieceCount) >>> 2] as number) + 1;
    const bytes = (this.#messageBytes[i] as number) + length;
    const segmentBytes = this.#segmentBytes[i] as number;
    this.#messageBytes[i] = bytes;
    // Only a message of two datagrams or more is a run: for one, the kernel has less to check and to refuse.
    if (segmentBytes > 0 && bytes > segmentBytes) {
      u32[(header + MESSAGE.controlLength) >>> 2] = CONTROL.shortBytes;
    }
    this.#pieces += 1;
  }

  flush(): number {
    const count = this.#messages;
    this.#refused = 0;
    let i = 0;
    while (i < count) {
      if (this.#isRun(i) && !this.#socket.canSegment) {
        this.#sendCut(i);
        i += 1;
        continue;
      }
      const end = this.#endOfBatch(i, count);
      const headers = this.#headers[i] as bigint;
      const sent = this.#libc.sendmmsg(this.#socket.fd, headers, end - i, MSG_DONTWAIT);
      if (sent > 0) {
        i += sent;
        continue;
      }
      // The kernel tells of a refusal only when the refused message is the first one.
      const errno = sent < 0 ? this.#libc.errno() : EAGAIN;
      if (errno === EINTR) continue;
      if (errno === EAGAIN) {
        // The buffer is full: what comes after finds no room either.
        for (; i < count; i += 1) this.#refuse(i, errno);
      } else {
        if ((errno === EIO || errno === EINVAL) && this.#isRun(i)) this.#retryCut(i);
        else this.#refuse(i, errno);
        i += 1;
      }
    }
    this.#messages = 0;
    this.#pieces = 0;
    return this.#refused;
  }

  refusedErrno(i: number): number {
    return this.#refusedErrno[i] ?? 0;
  }

  refusedMessage(i: number): number {
    return this.#refusedMessage[i] ?? 0;
  }

  #isRun(i: number): boolean {
    const header = this.#headersAt + i * MESSAGE.bytes;
    return this.#arena.u32[(header + MESSAGE.controlLength) >>> 2] !== 0;
  }

  #endOfBatch(from: number, count: number): number {
    if (this.#socket.canSegment) return count;
    let end = from + 1;
    while (end < count && !this.#isRun(end)) end += 1;
    return end;
  }

  // The kernel would not take the run as a run. When it takes the datagrams, it cannot segment on this way, and is
  // not asked again. When it refuses them too, the fault is theirs: old kernels say EINVAL of a run whose datagrams
  // are larger than the path, and of one that is too long.
  #retryCut(i: number): void {
    const isSent = this.#sendCut(i);
    const datagrams = Math.ceil((this.#messageBytes[i] as number) / (this.#segmentBytes[i] as number));
    if (isSent && datagrams <= MAX_RUN_DATAGRAMS) this.#socket.stopSegmenting();
  }

  #sendCut(i: number): boolean {
    const header = this.#headersAt + i * MESSAGE.bytes;
    const errno = this.#cutter.send(this.#socket.fd, header, this.#segmentBytes[i] as number);
    if (errno !== 0) this.#refuse(i, errno);
    return errno === 0;
  }

  #refuse(i: number, errno: number): void {
    this.#refusedMessage[this.#refused] = i;
    this.#refusedErrno[this.#refused] = errno;
    this.#refused += 1;
  }
}
