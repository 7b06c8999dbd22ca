import { createArena } from 'dgram-native';
import { describe, expect, it } from 'vitest';
import {
  createPlainSum,
  createSimdSum,
  createSum,
  fold,
  sumHeader,
  swap16,
} from '../../../../backends/udp/packets/checksum.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { naiveSum, pick } from './packets.ts';

const arena = createArena(3 * 65_536);
const memory = createPacketMemory(arena.u8);

const SUMS = [
  ['with vectors', createSimdSum(arena.memory)],
  ['in plain JavaScript', createPlainSum(memory)],
  ['as it is chosen', createSum(arena.memory, memory)],
] as const;

// Machine order from network order; 0 and 0xffff are the same number, and only 0 bytes give 0.
const reference = (at: number, length: number): number =>
  swap16(naiveSum(arena.u8.subarray(at, at + length)));

describe.each(SUMS)('the checksum %s', (_, maybe) => {
  it('the checksum is available on this machine', () => {
    expect(maybe).toBeTypeOf('function');
  });
  const sum = maybe ?? (() => -1);

  it('the checksum agrees with the naive one at every length and offset that matters', () => {
    const random = seededRandom(1);
    for (let i = 0; i < 2_000; i++) arena.u8[i] = pick(random, 256);
    for (let at = 0; at < 8; at++) {
      for (let length = 0; length < 300; length++) expect(sum(at, length)).toBe(reference(at, length));
    }
  });

  it('the checksum agrees with the naive one on random places and contents', () => {
    const random = seededRandom(2);
    for (let round = 0; round < 300; round++) {
      const length = pick(random, round % 10 === 0 ? 65_536 : 2_000);
      const at = pick(random, 60_000);
      const most = random() < 0.3 ? 256 : pick(random, 256) + 1;
      for (let i = at; i < at + length; i++) arena.u8[i] = most === 256 ? 255 : pick(random, most);
      expect(sum(at, length)).toBe(reference(at, length));
    }
  });

  it('the checksum does not overflow on the largest packet of all ones', () => {
    arena.u8.fill(255);
    expect(sum(1, 65_536)).toBe(0xffff);
    expect(sum(0, 65_535)).toBe(reference(0, 65_535));
    arena.u8.fill(0);
    expect(sum(3, 65_536)).toBe(0);
  });

  it('the checksum ignores the bytes after its end', () => {
    arena.u8.fill(255);
    expect(sum(arena.byteLength - 5, 5)).toBe(reference(arena.byteLength - 5, 5));
  });
});

describe('the parts of a checksum', () => {
  it('the sum of a header agrees with the naive one', () => {
    const random = seededRandom(3);
    for (let i = 0; i < 100; i++) arena.u8[i] = pick(random, 256);
    for (let length = 0; length <= 60; length += 4) {
      for (let at = 0; at < 4; at++) expect(sumHeader(memory, at, length)).toBe(reference(at, length));
    }
  });

  it.each([
    [0, 0],
    [0xffff, 0xffff],
    [0x10000, 1],
    [0x1_fffe, 0xffff],
    [0xffff_ffff, 0xffff],
  ])('a checksum of %i folds to %i', (from, to) => {
    expect(fold(from)).toBe(to);
  });

  it('a byte swap concerns the lower 16 bits only', () => {
    expect(swap16(0x1234)).toBe(0x3412);
    expect(swap16(0xf_1234)).toBe(0x3412);
  });
});
