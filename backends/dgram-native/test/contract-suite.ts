// The duties of every sender, receiver and packet file, the kernel's and those in memory.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Arena, Endpoints, PacketFile, Receiver, Sender } from '../src/index.ts';
import { datagramsOf, isPayload, LOOPBACK, type Received, refusals } from './pair.ts';

export const MESSAGES = 4;
export const PIECES = 6;
export const MESSAGE_BYTES = 2_048;

/** A connected sender and receiver, and a packet file that reads its own writes. */
export interface ContractBed extends Disposable {
  readonly arena: Arena;
  readonly endpoints: Endpoints;
  /** Of `MESSAGES` and `PIECES`. */
  readonly sender: Sender;
  /** Of `MESSAGES` and `MESSAGE_BYTES`. */
  readonly receiver: Receiver;
  /** Of `PIECES`. */
  readonly file: PacketFile;
  /** The sender's endpoint and the receiver's. */
  readonly source: number;
  readonly target: number;
  /** Offset of bytes each of which differs from its neighbours. */
  readonly payload: number;
  /** Makes the sent messages available to the receiver. */
  deliver(): void;
  /** Receives until so many bytes are there. */
  receiveBytes(bytes: number): readonly Received[];
}

const NOT_RECEIVABLE = [0, -1, 1.5, Number.NaN, MESSAGES + 1];
const NOT_A_SIZE = [-1, 65_536, 70_000, Number.NaN];
const OUTSIDE = [
  [-1, 1],
  [0, -1],
  [Number.NaN, 1],
  [0, Number.NaN],
  [0, 2 ** 32],
  [2 ** 32, 1],
] as const;

export function contractSuite(open: () => ContractBed): void {
  let bed: ContractBed;
  beforeEach(() => {
    bed = open();
  });
  afterEach(() => bed[Symbol.dispose]());

  const send = (bytes: number, segmentBytes = 0): void => {
    bed.sender.begin(bed.target, segmentBytes);
    bed.sender.append(bed.payload, bytes);
  };

  describe('a sender', () => {
    it('a sender sends messages whose datagrams arrive as they were cut, with their source', () => {
      const { sender, payload } = bed;
      send(100);
      sender.begin(bed.target, 300);
      sender.append(payload, 250);
      sender.append(payload + 250, 400);
      sender.append(payload + 650, 50);
      expect(sender.flush()).toBe(0);
      const messages = bed.receiveBytes(800);
      const datagrams = datagramsOf(messages);
      expect(datagrams.map(({ length }) => length)).toEqual([100, 300, 300, 100]);
      expect(datagrams.slice(1).every((datagram, i) => isPayload(datagram, i * 300))).toBe(true);
      const port = bed.endpoints.port(bed.source);
      expect(messages.every((message) => message.address === LOOPBACK && message.port === port)).toBe(true);
    });

    it('a sender reports its room and the room that is left', () => {
      const { sender } = bed;
      expect([sender.capacity, sender.pieceCapacity]).toEqual([MESSAGES, PIECES]);
      send(1);
      expect([sender.freeMessages(), sender.freePieces()]).toEqual([MESSAGES - 1, PIECES - 1]);
      sender.flush();
      expect([sender.freeMessages(), sender.freePieces()]).toEqual([MESSAGES, PIECES]);
      expect(sender.flush()).toBe(0);
    });

    it('a sender refuses messages and pieces beyond its room', () => {
      const { sender } = bed;
      for (let i = 0; i < MESSAGES; i += 1) send(1);
      for (let i = MESSAGES; i < PIECES; i += 1) sender.append(bed.payload, 1);
      expect(() => sender.append(bed.payload, 1)).toThrow(`no room for more than ${PIECES} pieces`);
      expect(() => sender.begin(bed.target, 0)).toThrow(`no room for more than ${MESSAGES} messages`);
    });

    it('a sender refuses a piece without a message', () => {
      expect(() => bed.sender.append(bed.payload, 1)).toThrow(
        'no message was begun that the piece could belong to',
      );
      send(1);
      bed.sender.flush();
      expect(() => bed.sender.append(bed.payload, 1)).toThrow(RangeError);
    });

    it.each(NOT_A_SIZE)('a sender refuses datagrams of %j bytes', (segmentBytes) => {
      expect(() => bed.sender.begin(bed.target, segmentBytes)).toThrow(
        `datagrams of ${segmentBytes} bytes cannot be sent`,
      );
      expect(bed.sender.freeMessages()).toBe(MESSAGES);
    });

    it.each(OUTSIDE)('a sender refuses a piece outside the arena: offset %j, length %j', (offset, length) => {
      bed.sender.begin(bed.target, 0);
      expect(() => bed.sender.append(offset, length)).toThrow('not in the arena');
      expect(() => bed.sender.append(bed.arena.byteLength, 1)).toThrow('not in the arena');
      expect(bed.sender.freePieces()).toBe(PIECES);
    });

    it('a sender refuses an endpoint outside the arena', () => {
      for (const endpoint of [-28, bed.arena.byteLength - 24, 2 ** 32, Number.NaN]) {
        expect(() => bed.sender.begin(endpoint, 0)).toThrow('not in the arena');
      }
      expect(bed.sender.freeMessages()).toBe(MESSAGES);
    });

    it('a sender describes the refused messages and their pieces until the next one is begun', () => {
      const { sender, payload } = bed;
      send(10);
      sender.begin(bed.target, 0);
      sender.append(payload, 60_000);
      sender.append(payload + 7, 6_000);
      send(20);
      const refused = sender.flush();
      expect(refusals(sender, refused)).toEqual([[1, 'EMSGSIZE']]);
      const pieces = Array.from({ length: sender.refusedPieces(0) }, (_, piece) => [
        sender.refusedOffset(0, piece),
        sender.refusedLength(0, piece),
      ]);
      expect(pieces).toEqual([
        [payload, 60_000],
        [payload + 7, 6_000],
      ]);
      expect(bed.receiveBytes(30).map(({ bytes }) => bytes.length)).toEqual([10, 20]);
    });
  });

  describe('a receiver', () => {
    it('a receiver gives no more messages at a time than it is asked for', () => {
      const { receiver } = bed;
      for (let i = 0; i < MESSAGES; i += 1) send(10 + i);
      bed.sender.flush();
      bed.deliver();
      const lengths: number[] = [];
      for (let tries = 0; tries < 1e6 && lengths.length < MESSAGES; tries += 1) {
        const count = receiver.receive(3);
        expect(count).toBeLessThanOrEqual(3);
        for (let i = 0; i < count; i += 1) lengths.push(receiver.length(i));
      }
      expect(lengths).toEqual([10, 11, 12, 13]);
      expect(receiver.receive(3)).toBe(0);
    });

    it.each(NOT_RECEIVABLE)(`a receiver refuses to receive %j of at most ${MESSAGES} messages`, (most) => {
      expect(bed.receiver.capacity).toBe(MESSAGES);
      expect(() => bed.receiver.receive(most)).toThrow(`most must be a whole number from 1 to ${MESSAGES}`);
    });

    it('a receiver marks a message longer than its room as truncated', () => {
      for (const bytes of [MESSAGE_BYTES + 1, MESSAGE_BYTES]) send(bytes);
      bed.sender.flush();
      const messages = bed.receiveBytes(2 * MESSAGE_BYTES);
      expect(messages.map(({ bytes, isTruncated }) => [bytes.length, isTruncated])).toEqual([
        [MESSAGE_BYTES, true],
        [MESSAGE_BYTES, false],
      ]);
    });

    it('a receiver gives the source of a message as an endpoint to answer to', () => {
      send(5);
      bed.sender.flush();
      bed.receiveBytes(5);
      expect(bed.endpoints.equals(bed.receiver.source(0), bed.source)).toBe(true);
      expect(() => bed.sender.begin(bed.receiver.source(0), 0)).not.toThrow();
    });
  });

  describe('a packet file', () => {
    it('a packet file reads the packet that was written in pieces', () => {
      const { arena, file, payload } = bed;
      const at = arena.reserve(1_000);
      expect(file.read(at, 1_000)).toBe(0);
      file.append(payload, 100);
      file.append(payload + 100, 200);
      expect(file.write()).toBe(300);
      expect(file.freePieces()).toBe(PIECES);
      expect(file.read(at, 1_000)).toBe(300);
      expect(isPayload(arena.u8.subarray(at, at + 300))).toBe(true);
    });

    it('a packet file refuses pieces beyond its room, and forgets them when it is cleared', () => {
      const { file, payload } = bed;
      for (let i = 0; i < PIECES; i += 1) file.append(payload, 1);
      expect(file.freePieces()).toBe(0);
      expect(() => file.append(payload, 1)).toThrow(`no room for more than ${PIECES} pieces`);
      file.clear();
      expect(file.freePieces()).toBe(PIECES);
    });

    it.each(OUTSIDE)(
      'a packet file refuses bytes outside the arena: offset %j, length %j',
      (offset, length) => {
        expect(() => bed.file.append(offset, length)).toThrow('not in the arena');
        expect(() => bed.file.read(offset, length)).toThrow('not in the arena');
      },
    );
  });
}
