import { describe, expect, it } from 'vitest';
import {
  type Arena,
  arenaBytes,
  createArena,
  createPacketFile,
  createPoller,
  createReceiver,
  createSender,
  packetFileBytes,
  pollerBytes,
  receiverBytes,
  senderBytes,
} from '../src/index.ts';
import { swap16 } from '../src/layout.ts';
import { openPair } from './pair.ts';

describe('an arena', () => {
  it('an arena has whole pages, all 0, which all views show', () => {
    const arena = createArena(100_000);
    expect(arena.byteLength).toBe(131_072);
    expect([arena.u8.length, arena.u16.length * 2, arena.u32.length * 4]).toEqual([
      131_072, 131_072, 131_072,
    ]);
    expect(arena.u8.every((byte) => byte === 0)).toBe(true);
    arena.u32[1] = 0x01020304;
    expect([...arena.u8.subarray(4, 8)]).toEqual([4, 3, 2, 1]);
    expect(arena.memory.buffer).toBe(arena.u8.buffer);
  });

  it('an arena reserves parts on boundaries of 64, to the last byte', () => {
    const arena = createArena(65_536);
    expect([1, 64, 65, 0].map((bytes) => arena.reserve(bytes))).toEqual([0, 64, 128, 256]);
    expect(arena.reserve(65_280)).toBe(256);
    expect(arena.reserve(0)).toBe(65_536);
    expect(() => arena.reserve(1)).toThrow('no 1 bytes left in the arena: 65536 of 65536 are taken');
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32])('an arena of %j bytes is refused', (bytes) => {
    expect(() => createArena(bytes)).toThrow(RangeError);
  });

  it.each([-1, 1.5, Number.NaN, 65_537])('an arena reserves no part of %j bytes', (bytes) => {
    expect(() => createArena(65_536).reserve(bytes)).toThrow(RangeError);
  });
});

describe('tables', () => {
  it.each([0, -1, 1.5, Number.NaN, 1025])('a table refuses room for %j messages', (messages) => {
    using pair = openPair();
    const arena = createArena(65_536);
    expect(() => createSender(arena, pair.from, { messages, pieces: 1 })).toThrow(RangeError);
    expect(() => createReceiver(arena, pair.from, { messages, messageBytes: 100 })).toThrow(RangeError);
    expect(() => createPacketFile(arena, -1, messages)).toThrow(RangeError);
  });

  it('the table of a poller has 1 to 31 descriptors', () => {
    const arena = createArena(65_536);
    expect(() => createPoller(arena, [])).toThrow(RangeError);
    expect(() =>
      createPoller(
        arena,
        Array.from({ length: 32 }, () => 0),
      ),
    ).toThrow(RangeError);
  });
});

describe('the bytes that parts take of an arena', () => {
  const taken = (reserve: (arena: Arena) => unknown): number => {
    const arena = createArena(1 << 20);
    reserve(arena);
    return arena.reserve(0);
  };

  it.each([
    [1, 1],
    [3, 7],
    [64, 256],
    [256, 1_024],
  ])('the bytes for a sender and a receiver of %i messages and %i pieces are known', (messages, pieces) => {
    using pair = openPair();
    const sender = { messages, pieces };
    const receiver = { messages, messageBytes: 1_001 };
    expect(taken((arena) => createSender(arena, pair.from, sender))).toBe(senderBytes(sender));
    expect(taken((arena) => createReceiver(arena, pair.to, receiver))).toBe(receiverBytes(receiver));
    expect(taken((arena) => createPacketFile(arena, -1, pieces))).toBe(packetFileBytes(pieces));
  });

  it('the bytes for a poller and for any other parts are known', () => {
    expect(taken((arena) => createPoller(arena, [0, 1, 2, 3, 4, 5, 6, 7, 8]))).toBe(pollerBytes(9));
    expect(taken((arena) => [1, 64, 65, 0].map((bytes) => arena.reserve(bytes)))).toBe(
      arenaBytes(1, 64, 65, 0),
    );
  });
});

describe('bytes', () => {
  it.each([
    [0, 0],
    [0x2134, 0x3421],
    [0xffff, 0xffff],
    [0x80, 0x8000],
  ])('the bytes of the 16-bit %j are swapped', (value, expected) => {
    expect(swap16(value)).toBe(expected);
  });
});
