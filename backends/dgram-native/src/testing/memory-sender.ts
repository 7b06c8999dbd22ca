// A sender whose kernel is a memory socket.
import { checkCount, checkRange } from '../arena.ts';
import type { Arena, Sender } from '../contract.ts';
import { ENDPOINT } from '../layout.ts';
import { EAGAIN, UIO_MAXIOV } from '../numbers.ts';
import { MAX_PIECES, type SenderOptions } from '../sender.ts';
import type { MemorySocket, OutgoingMessage } from './memory-socket.ts';
import { createPieceRecord } from './pieces.ts';

/** Makes a sender that sends through a socket in memory. It takes nothing of the arena. */
export function createMemorySender(arena: Arena, socket: MemorySocket, options: SenderOptions): Sender {
  const capacity = checkCount('messages', options.messages, UIO_MAXIOV);
  const pieceCapacity = checkCount('pieces', options.pieces, MAX_PIECES);
  const endpoints = new Uint32Array(capacity);
  const segments = new Uint16Array(capacity);
  // One more, as the end of the last message.
  const firstPieces = new Uint32Array(capacity + 1);
  const refusedMessages = new Uint16Array(capacity);
  const refusedErrnos = new Uint16Array(capacity);
  const record = createPieceRecord(arena, pieceCapacity);
  const message: OutgoingMessage = { arena, endpoint: 0, segmentBytes: 0, pieces: record.between(0, 0) };
  let messages = 0;
  let refused = 0;

  const piecesOf = (i: number) => record.between(firstPieces[i] ?? 0, firstPieces[i + 1] ?? 0);
  const piecesOfRefused = (i: number) => piecesOf(refusedMessages[i] ?? 0);

  return {
    capacity,
    pieceCapacity,
    freeMessages: () => capacity - messages,
    freePieces: () => pieceCapacity - record.count(),
    begin(endpoint, segmentBytes) {
      if (messages === capacity) throw new RangeError(`no room for more than ${capacity} messages`);
      checkRange(arena, endpoint, ENDPOINT.bytes);
      if (!(segmentBytes >= 0 && segmentBytes <= 0xffff)) {
        throw new RangeError(`datagrams of ${segmentBytes} bytes cannot be sent`);
      }
      endpoints[messages] = endpoint;
      segments[messages] = segmentBytes;
      firstPieces[messages] = record.count();
      messages += 1;
    },
    append(offset, length) {
      if (messages === 0) throw new RangeError('no message was begun that the piece could belong to');
      record.append(offset, length);
    },
    flush() {
      firstPieces[messages] = record.count();
      refused = 0;
      if (messages > 0) socket.flushes += 1;
      let errno = 0;
      for (let i = 0; i < messages; i += 1) {
        // The buffer is full: no later message is tried.
        if (errno !== EAGAIN) {
          message.endpoint = endpoints[i] ?? 0;
          message.segmentBytes = segments[i] ?? 0;
          message.pieces = piecesOf(i);
          errno = socket.send(message);
        }
        if (errno === 0) continue;
        refusedMessages[refused] = i;
        refusedErrnos[refused] = errno;
        refused += 1;
      }
      messages = 0;
      record.clear();
      return refused;
    },
    refusedErrno: (i) => refusedErrnos[i] ?? 0,
    refusedMessage: (i) => refusedMessages[i] ?? 0,
    refusedPieces: (i) => piecesOfRefused(i).count(),
    refusedOffset: (i, piece) => piecesOfRefused(i).offset(piece),
    refusedLength: (i, piece) => piecesOfRefused(i).length(piece),
  };
}
