import { describe, expect, it } from 'vitest';
import { createArena, createPacketFile, createPoller, createReceiver, createSender } from '../src/index.ts';
import { swap16, swap32 } from '../src/layout.ts';
import { LOOPBACK, openPair } from './pair.ts';

describe('an arena', () => {
  it('has whole pages, all 0, that all views show', () => {
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

  it('gives each his own part, on boundaries of 64, to the last byte', () => {
    const arena = createArena(65_536);
    expect([1, 64, 65, 0].map((bytes) => arena.reserve(bytes))).toEqual([0, 64, 128, 256]);
    expect(arena.reserve(65_280)).toBe(256);
    expect(arena.reserve(0)).toBe(65_536);
    expect(() => arena.reserve(1)).toThrow('no 1 bytes left in the arena: 65536 of 65536 are taken');
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32])('of %j bytes is refused', (bytes) => {
    expect(() => createArena(bytes)).toThrow(RangeError);
  });

  it.each([-1, 1.5, Number.NaN, 65_537])('gives no part of %j bytes', (bytes) => {
    expect(() => createArena(65_536).reserve(bytes)).toThrow(RangeError);
  });
});

describe('what lies outside of the arena', () => {
  const OUTSIDE = [
    [-1, 1],
    [65_536, 1],
    [65_535, 2],
    [0, 65_537],
    [16, -1],
    [Number.NaN, 1],
    [0, Number.NaN],
    [2 ** 32, 1],
    [0, 2 ** 32],
  ] as const;

  it.each(OUTSIDE)('is neither read nor written: offset %j, length %j', (offset, length) => {
    const arena = createArena(65_536);
    const file = createPacketFile(arena, -1, 4);
    expect(() => file.append(offset, length)).toThrow('not in the arena');
    expect(() => file.read(offset, length)).toThrow('not in the arena');
  });

  it.each(OUTSIDE)('is never sent: offset %j, length %j', (offset, length) => {
    using pair = openPair();
    const arena = createArena(65_536);
    const sender = createSender(arena, pair.from, { messages: 1, pieces: 4 });
    sender.begin(LOOPBACK, pair.to.port, 0);
    expect(() => sender.append(offset, length)).toThrow('not in the arena');
  });
});

describe('tables', () => {
  it('are not written beyond their end', () => {
    using pair = openPair();
    const arena = createArena(65_536);
    const sender = createSender(arena, pair.from, { messages: 2, pieces: 2 });
    expect(() => sender.append(0, 1)).toThrow('begin one');
    sender.begin(LOOPBACK, 1, 0);
    sender.append(0, 1);
    sender.begin(LOOPBACK, 1, 0);
    sender.append(0, 1);
    expect([sender.freeMessages(), sender.freePieces()]).toEqual([0, 0]);
    expect(() => sender.begin(LOOPBACK, 1, 0)).toThrow('no room for more than 2 messages');
    expect(() => sender.append(0, 1)).toThrow('no room for more than 2 pieces');
    const file = createPacketFile(arena, -1, 1);
    file.append(0, 1);
    expect(file.freePieces()).toBe(0);
    expect(() => file.append(0, 1)).toThrow('no room for more than 1 pieces');
    file.clear();
    expect(file.freePieces()).toBe(1);
  });

  it.each([0, -1, 1.5, Number.NaN, 1025])('have no room for %j messages', (messages) => {
    using pair = openPair();
    const arena = createArena(65_536);
    expect(() => createSender(arena, pair.from, { messages, pieces: 1 })).toThrow(RangeError);
    expect(() => createReceiver(arena, pair.from, { messages, messageBytes: 100 })).toThrow(RangeError);
    expect(() => createPacketFile(arena, -1, messages)).toThrow(RangeError);
  });

  it('of a poller have 1 to 31 descriptors', () => {
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

describe('the order of bytes', () => {
  it.each([
    [0, 0],
    [0x2134, 0x3421],
    [0xffff, 0xffff],
    [0x80, 0x8000],
  ])('of the 16-bit %j is turned round', (value, expected) => {
    expect(swap16(value)).toBe(expected);
  });

  it.each([
    [0x0a000001, 0x0100000a],
    [0xff0000fe, 0xfe0000ff],
    [0, 0],
    [0xffffffff, 0xffffffff],
  ])('of the 32-bit %j is turned round', (value, expected) => {
    expect(swap32(value)).toBe(expected);
  });
});
