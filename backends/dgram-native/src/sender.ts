// Writes messages down in the kernel's own form, and sends them with as few system calls as it takes.
//
// A message may be a run: many datagrams of one size, cut by the kernel (UDP_SEGMENT). Where the kernel cannot, or
// says so only when it is tried, the run is cut here, and the datagrams leave one by one in batches.
//
// What is closed over here and never changes, such as the views of the arena, the compiler takes for constants; of the
// fields of a class it would have to load each for each piece.
import { addressesOfTable, addressOfArena, checkCount } from './arena.ts';
import type { Arena, Sender, UdpSocket } from './contract.ts';
import { DatagramCutter } from './datagram-cutter.ts';
import { CONTROL, MESSAGE, NAME, PIECE, swap16, swap32 } from './layout.ts';
import { libc } from './libc.ts';
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
import { createPieceTable } from './piece-table.ts';

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
  const maxMessages = checkCount('messages', options.messages, UIO_MAXIOV);
  const maxPieces = checkCount('pieces', options.pieces, MAX_PIECES);
  const { u16, u32 } = arena;
  const { base, low, high } = addressOfArena(arena);
  const { sendmmsg, errno: lastErrno } = libc();
  const cutter = new DatagramCutter(arena, maxPieces);
  // Offsets in the arena: of the messages, and of what each of them has.
  const headersAt = arena.reserve(maxMessages * MESSAGE.bytes);
  const namesAt = arena.reserve(maxMessages * NAME.bytes);
  const controlsAt = arena.reserve(maxMessages * CONTROL.shortBytes);
  const table = createPieceTable(arena, maxPieces);
  const headers = addressesOfTable(base, headersAt, MESSAGE.bytes, maxMessages);
  const messageBytes = new Uint32Array(maxMessages);
  const refusedMessages = new Uint16Array(maxMessages);
  const refusedErrnos = new Uint16Array(maxMessages);
  let messages = 0;
  let refused = 0;
  // Of the message that is written down: its first piece, and the bytes so far.
  let firstPiece = 0;
  let bytes = 0;

  // What is the same in every message and in every piece is written once.
  for (let i = 0; i < maxMessages; i += 1) {
    const header = headersAt + i * MESSAGE.bytes;
    const name = namesAt + i * NAME.bytes;
    const control = controlsAt + i * CONTROL.shortBytes;
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

  const headerOf = (message: number): number => headersAt + message * MESSAGE.bytes;

  const segmentBytesOf = (message: number): number =>
    u16[(controlsAt + message * CONTROL.shortBytes + CONTROL.data) >>> 1] as number;

  const isRun = (message: number): boolean => u32[(headerOf(message) + MESSAGE.controlLength) >>> 2] !== 0;

  // What is known of a message only when it is complete.
  const endMessage = (): void => {
    if (messages === 0) return;
    const message = messages - 1;
    const segmentBytes = segmentBytesOf(message);
    // Only a message of two datagrams or more is a run: for one, the kernel has less to check and to refuse.
    const controlBytes = segmentBytes > 0 && bytes > segmentBytes ? CONTROL.shortBytes : 0;
    u32[(headerOf(message) + MESSAGE.pieceCount) >>> 2] = table.count() - firstPiece;
    u32[(headerOf(message) + MESSAGE.controlLength) >>> 2] = controlBytes;
    messageBytes[message] = bytes;
  };

  const endOfBatch = (from: number): number => {
    if (socket.canSegment) return messages;
    let end = from + 1;
    while (end < messages && !isRun(end)) end += 1;
    return end;
  };

  const refuse = (message: number, errno: number): void => {
    refusedMessages[refused] = message;
    refusedErrnos[refused] = errno;
    refused += 1;
  };

  const sendCut = (message: number): boolean => {
    const errno = cutter.send(socket.fd, headerOf(message), segmentBytesOf(message));
    if (errno !== 0) refuse(message, errno);
    return errno === 0;
  };

  // The kernel would not take the run as a run. When it takes the datagrams, it cannot segment on this way, and is
  // not asked again. When it refuses them too, the fault is theirs: old kernels say EINVAL of a run whose datagrams
  // are larger than the path, and of one that is too long.
  const retryCut = (message: number): void => {
    const isSent = sendCut(message);
    const datagrams = Math.ceil((messageBytes[message] as number) / segmentBytesOf(message));
    if (isSent && datagrams <= MAX_RUN_DATAGRAMS) socket.stopSegmenting();
  };

  return {
    freeMessages: () => maxMessages - messages,
    freePieces: () => maxPieces - table.count(),
    begin(address, port, segmentBytes) {
      if (messages === maxMessages) throw new RangeError(`no room for more than ${maxMessages} messages`);
      if (!(segmentBytes >= 0 && segmentBytes <= 0xffff)) {
        throw new RangeError(`datagrams of ${segmentBytes} bytes cannot be sent`);
      }
      endMessage();
      firstPiece = table.count();
      const name = namesAt + messages * NAME.bytes;
      u16[(name + NAME.port) >>> 1] = swap16(port);
      u32[(name + NAME.address) >>> 2] = swap32(address);
      u32[(headerOf(messages) + MESSAGE.pieces) >>> 2] = low + table.at + firstPiece * PIECE.bytes;
      u16[(controlsAt + messages * CONTROL.shortBytes + CONTROL.data) >>> 1] = segmentBytes;
      messages += 1;
      bytes = 0;
    },
    append(offset, length) {
      if (messages === 0) throw new RangeError('a piece belongs to a message: begin one');
      table.append(offset, length);
      bytes += length;
    },
    flush() {
      endMessage();
      refused = 0;
      let i = 0;
      while (i < messages) {
        if (isRun(i) && !socket.canSegment) {
          sendCut(i);
          i += 1;
          continue;
        }
        const sent = sendmmsg(socket.fd, headers[i] as bigint, endOfBatch(i) - i, MSG_DONTWAIT);
        if (sent > 0) {
          i += sent;
          continue;
        }
        // The kernel tells of a refusal only when the refused message is the first one.
        const errno = sent < 0 ? lastErrno() : EAGAIN;
        if (errno === EINTR) continue;
        if (errno === EAGAIN) {
          // The buffer is full: what comes after finds no room either.
          for (; i < messages; i += 1) refuse(i, errno);
        } else {
          if ((errno === EIO || errno === EINVAL) && isRun(i)) retryCut(i);
          else refuse(i, errno);
          i += 1;
        }
      }
      messages = 0;
      table.clear();
      return refused;
    },
    refusedErrno: (i) => refusedErrnos[i] ?? 0,
    refusedMessage: (i) => refusedMessages[i] ?? 0,
  };
}
