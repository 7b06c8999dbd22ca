import { expect, it } from 'vitest';
import { joinUnwanted } from '../../../agent/kernel/netlink/sift.ts';

const [DONE, NEWADDR] = [3, 20];

/** One message; its payload is a number in the first byte, and more bytes. */
function message(type: number, number: number, payloadBytes: number): Buffer {
  const bytes = Buffer.alloc((16 + payloadBytes + 3) & ~3);
  bytes.writeUInt32LE(16 + payloadBytes, 0);
  bytes.writeUInt16LE(type, 4);
  bytes[16] = number;
  return bytes;
}

function numbersIn(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += (bytes.readUInt32LE(at) + 3) & ~3)
    found.push(`${bytes.readUInt16LE(at + 4)}:${bytes[at + 16]}:${bytes.readUInt32LE(at)}`);
  return found;
}

const isEven = (bytes: Buffer, start: number): boolean => (bytes[start] ?? 0) % 2 === 0;

it('unwanted messages in a row become one, and every other message stays', () => {
  const numbers = [1, 3, 2, 4, 5, 7, 9];
  const bytes = Buffer.concat([...numbers.map((n) => message(NEWADDR, n, 4)), message(DONE, 11, 4)]);
  joinUnwanted(bytes, isEven);
  expect(numbersIn(bytes)).toEqual(['20:1:40', '20:2:20', '20:4:20', '20:5:60', '3:11:20']);
});

it('lengths are rounded up to whole words, but for the last message', () => {
  const last = message(NEWADDR, 3, 5).subarray(0, 21);
  const bytes = Buffer.concat([message(NEWADDR, 1, 5), last]);
  joinUnwanted(bytes, isEven);
  expect(bytes.readUInt32LE(0)).toBe(45);
});

it('the end of a listing is kept, whatever it carries, and malformed bytes are left alone', () => {
  const done = message(DONE, 1, 4);
  for (const bytes of [done, Buffer.alloc(40), Buffer.alloc(7)]) {
    const before = Buffer.from(bytes);
    joinUnwanted(bytes, () => false);
    expect(bytes).toEqual(before);
  }
});
