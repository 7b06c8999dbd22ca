import { describe, expect, it } from 'vitest';
import { decode, encode, type Shape } from '../../../agent/datastore/protobuf.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';

const INNER = { text: [1, 'text'], number: [2, 'number'] } as const satisfies Shape;
const SHAPE = {
  text: [1, 'text'],
  number: [2, 'number'],
  id: [3, 'id'],
  flag: [4, 'flag'],
  inner: [5, INNER],
  many: [20, INNER, 'many'],
} as const satisfies Shape;

const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const MALFORMED = 'the server sent a malformed message';

describe('the wire form of protocol buffers', () => {
  // The first three are the examples of the protocol's documentation.
  it.each([
    [{ number: 150 }, '10 9601'],
    [{ text: 'testing' }, '0a 07 74657374696e67'],
    [{ inner: { number: 150 } }, '2a 03 109601'],
    [{ many: [{ number: 1 }, {}] }, 'a201 02 1001  a201 00'],
    [{ id: '18446744073709551615' }, '18 ffffffffffffffffff01'],
    [{ number: Number.MAX_SAFE_INTEGER, flag: true }, '10 ffffffffffffff0f  20 01'],
    [{ text: Buffer.of(0xff, 0) }, '0a 02 ff00'],
  ])('the wire form of %j is %s', (message, hex) => {
    expect(encode(SHAPE, message).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });

  it('a message survives a round trip, with defaults for absent fields', () => {
    const message = { text: 'äöü €', id: '9223372036854775807', many: [{ number: 7 }, { text: 'x' }] };
    expect(decode(SHAPE, encode(SHAPE, message))).toEqual({
      text: 'äöü €',
      number: 0,
      id: '9223372036854775807',
      flag: false,
      inner: { text: '', number: 0 },
      many: [
        { text: '', number: 7 },
        { text: 'x', number: 0 },
      ],
    });
  });

  it('two messages of defaults share no list that one of them could grow', () => {
    const filled = decode(SHAPE, encode(SHAPE, { many: [{}, {}] }));
    expect(filled.many).toHaveLength(2);
    expect(decode(SHAPE, Buffer.alloc(0)).many).toHaveLength(0);
  });

  it('unknown fields of all kinds are skipped', () => {
    const unknown = '48 ffffffffffffffffff01  51 0102030405060708  5a 02 abcd  65 01020304';
    expect(decode(SHAPE, bytes(`${unknown} 10 05 ${unknown}`)).number).toBe(5);
  });

  it.each([
    [-1, '10 ffffffffffffffffff01'],
    [-2, '10 feffffffffffffffff01'],
    [Number.MIN_SAFE_INTEGER, '10 81808080808080f0ff01'],
  ])('the negative number %d is read', (number, hex) => {
    expect(decode(SHAPE, bytes(hex)).number).toBe(number);
  });

  it.each([
    ['a number without an end', '10 ff'],
    ['a negative number that loses precision', '10 80808080808080808001'],
    ['a number of more than 64 bits', '18 ffffffffffffffffffff01'],
    ['a number that loses precision', '10 ffffffffffffffff7f'],
    ['a text that is longer than the message', '0a 05 6161'],
    ['a text that is longer than the message it is in', '2a 03 0a 05 61 10 01'],
    ['a text where a number belongs', '12 01 61'],
    ['a number where a text belongs', '08 01'],
    ['a group', '4b'],
    ['an unknown field beyond the end', '5a 05 61'],
    ['eight bytes beyond the end', '51 0102'],
  ])('a malformed wire form is refused: %s', (_, hex) => {
    expect(() => decode(SHAPE, bytes(hex))).toThrow(MALFORMED);
  });

  it('random bytes are parsed or refused, and parsing always ends', () => {
    const random = seededRandom(1);
    for (let run = 0; run < 5_000; run += 1) {
      const noise = Buffer.alloc(Math.floor(random() * 40));
      for (let at = 0; at < noise.length; at += 1) noise[at] = Math.floor(random() * 256);
      try {
        decode(SHAPE, noise);
      } catch (error) {
        expect((error as Error).message).toBe(MALFORMED);
      }
    }
  });
});
