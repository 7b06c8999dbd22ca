// Writes messages down in the kernel's own form, and sends them with as few system calls as possible.
//
// A message may be a run: many datagrams of one size that the kernel cuts (UDP_SEGMENT). Where the kernel cannot, which
// may show only when it is tried, the run is cut here, and its datagrams leave one by one in batches.
//
// It is a closure for the reason that receiver.ts gives.
import { addressesOfTable, addressOfArena, arenaBytes, checkCount, checkRange } from './arena.ts';
import type { Arena, Sender, UdpSocket } from './contract.ts';
import { createDatagramCutter, cutterBytes } from './datagram-cutter.ts';
import { CONTROL, ENDPOINT, MESSAGE, PIECE } from './layout.ts';
import { libc } from './libc.ts';
import { EAGAIN, EINTR, EINVAL, EIO, MSG_DONTWAIT, SOL_UDP, UDP_SEGMENT, UIO_MAXIOV } from './numbers.ts';
import { createPieceTable } from './piece-table.ts';

export interface SenderOptions {
  /** Most messages in one flush, 1 to 1024. */
  readonly messages: number;
  /** Most pieces in all messages of one flush. The kernel takes at most 1024 in one message. */
  readonly pieces: number;
}

/** Most datagrams of a run that every kernel cuts, and takes on a TUN device: UDP_MAX_SEGMENTS before Linux 6.11. */
export const MAX_RUN_DATAGRAMS = 64;

/** Most bytes of a run that a device takes as one packet: below 64 KiB with every header of the network around it. */
export const MAX_RUN_BYTES = 65_000;

/** @internal */
export const MAX_PIECES = 65_536;

/** Bytes of the arena that a sender reserves. */
export function senderBytes({ messages, pieces }: SenderOptions): number {
  const tables = arenaBytes(messages * MESSAGE.bytes, messages * CONTROL.shortBytes, pieces * PIECE.bytes);
  return tables + cutterBytes(pieces);
}

/**
 * Makes a sender for a socket, with `senderBytes` of the arena. It belongs to one thread; a socket may have several.
 */
export function createSender(arena: Arena, socket: UdpSocket, options: SenderOptions): Sender {
  const maxMessages = checkCount('messages', options.messages, UIO_MAXIOV);
  const maxPieces = checkCount('pieces', options.pieces, MAX_PIECES);
  const { u16, u32 } = arena;
  const lastEndpoint = arena.byteLength - ENDPOINT.bytes;
  const { base, low, high } = addressOfArena(arena);
  const { sendmmsg, errno: lastErrno } = libc();
  const cutter = createDatagramCutter(arena, maxPieces);
  // Offsets in the arena.
  const headersAt = arena.reserve(maxMessages * MESSAGE.bytes);
  const controlsAt = arena.reserve(maxMessages * CONTROL.shortBytes);
  const table = createPieceTable(arena, maxPieces);
  const headers = addressesOfTable(base, headersAt, MESSAGE.bytes, maxMessages);
  const messageBytes = new Uint32Array(maxMessages);
  const refusedMessages = new Uint16Array(maxMessages);
  const refusedErrnos = new Uint16Array(maxMessages);
  let messages = 0;
  let refused = 0;
  // The first piece of the message that was begun last, and its bytes so far.
  let firstPiece = 0;
  let bytes = 0;

  // The fields that are the same in every message are written once.
  for (let i = 0; i < maxMessages; i += 1) {
    const header = headersAt + i * MESSAGE.bytes;
    const control = controlsAt + i * CONTROL.shortBytes;
    u32[(header + MESSAGE.endpoint + 4) >>> 2] = high;
    u32[(header + MESSAGE.endpointLength) >>> 2] = ENDPOINT.bytes;
    u32[(header + MESSAGE.pieces + 4) >>> 2] = high;
    u32[(header + MESSAGE.control) >>> 2] = low + control;
    u32[(header + MESSAGE.control + 4) >>> 2] = high;
    u32[(control + CONTROL.length) >>> 2] = CONTROL.shortLength;
    u32[(control + CONTROL.level) >>> 2] = SOL_UDP;
    u32[(control + CONTROL.type) >>> 2] = UDP_SEGMENT;
  }

  const headerOf = (message: number): number => headersAt + message * MESSAGE.bytes;

  const segmentBytesOf = (message: number): number =>
    u16[(controlsAt + message * CONTROL.shortBytes + CONTROL.data) >>> 1] as number;

  const isRun = (message: number): boolean => u32[(headerOf(message) + MESSAGE.controlLength) >>> 2] !== 0;

  // Writes the fields that are known only when a message is complete.
  const endMessage = (): void => {
    if (messages === 0) return;
    const message = messages - 1;
    const segmentBytes = segmentBytesOf(message);
    // A single datagram is not sent as a run: the kernel then has less to check and to refuse.
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

  // The kernel refused the run as a run. Where it takes the datagrams one by one, it cannot segment on this path, and
  // is not asked again. Where it refuses them too, they are at fault: old kernels give EINVAL for a run whose datagrams
  // are larger than the path, and for one that is too long.
  const retryCut = (message: number): void => {
    const isSent = sendCut(message);
    const datagrams = Math.ceil((messageBytes[message] as number) / segmentBytesOf(message));
    if (isSent && datagrams <= MAX_RUN_DATAGRAMS) socket.stopSegmenting();
  };

  const headerOfRefused = (i: number): number => headerOf(refusedMessages[i] ?? 0);

  const pieceOfRefused = (i: number, piece: number): number =>
    (u32[(headerOfRefused(i) + MESSAGE.pieces) >>> 2] as number) - low + piece * PIECE.bytes;

  return {
    capacity: maxMessages,
    pieceCapacity: maxPieces,
    freeMessages: () => maxMessages - messages,
    freePieces: () => maxPieces - table.count(),
    begin(endpoint, segmentBytes) {
      if (messages === maxMessages) throw new RangeError(`no room for more than ${maxMessages} messages`);
      if (!(endpoint >= 0 && endpoint <= lastEndpoint)) checkRange(arena, endpoint, ENDPOINT.bytes);
      if (!(segmentBytes >= 0 && segmentBytes <= 0xffff)) {
        throw new RangeError(`datagrams of ${segmentBytes} bytes cannot be sent`);
      }
      endMessage();
      firstPiece = table.count();
      u32[(headerOf(messages) + MESSAGE.endpoint) >>> 2] = low + endpoint;
      u32[(headerOf(messages) + MESSAGE.pieces) >>> 2] = low + table.at + firstPiece * PIECE.bytes;
      u16[(controlsAt + messages * CONTROL.shortBytes + CONTROL.data) >>> 1] = segmentBytes;
      messages += 1;
      bytes = 0;
    },
    append(offset, length) {
      if (messages === 0) throw new RangeError('no message was begun that the piece could belong to');
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
        // The kernel reports a refusal only where the refused message is the first one.
        const errno = sent < 0 ? lastErrno() : EAGAIN;
        if (errno === EINTR) continue;
        if (errno === EAGAIN) {
          // The buffer is full: the later messages would find no room either.
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
    refusedPieces: (i) => u32[(headerOfRefused(i) + MESSAGE.pieceCount) >>> 2] as number,
    refusedOffset: (i, piece) => (u32[(pieceOfRefused(i, piece) + PIECE.address) >>> 2] as number) - low,
    refusedLength: (i, piece) => u32[(pieceOfRefused(i, piece) + PIECE.length) >>> 2] as number,
  };
}
