// Any entry under the prefix is read as a lease, or refused in one plain line.
import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import {
  formatLeaseValue,
  formatSubnetKey,
  parseLeaseValue,
  parseSubnetKey,
} from '../../../agent/model/lease.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';

const ROUNDS = 5_000;

const VALUES = [
  '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"12:ec:88:6a:62:a9"}}',
  '{"PublicIP":"192.168.77.1","PublicIPv6":"fd00::1","BackendType":"host-gw","Node":{"ID":"00000000000000aa","Name":"h1"},"x":[1,{"y":2}]}',
  '{}',
];

const KEYS = ['10.5.34.0-24', '10.5.34.0-24&fd00:5:22::-64', '0.0.0.0-0'];

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\\u0000',
  '\n',
  '\r',
  '\u001b[31m',
  '\u009b',
  '\u202e',
  '\u2028',
  '\ud800',
  'null',
  'true',
  '1e999',
  '-0',
  '99999999999999999999999999',
  '"__proto__":{"a":1},',
  '"constructor":null,',
  '"PublicIP":["10.0.0.1"],',
  '"Node":{},',
  '['.repeat(90),
  '{"a":'.repeat(3_000),
  '-',
  '&',
  '/',
  '.',
  '0',
  '255',
  'ffff',
  '::',
  '%',
];

function attempt<T>(work: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

it('mutated keys and values are read as a lease, or refused in one printable line', () => {
  const seed = Number(process.env['TWILL_SEED'] ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const mutate = (text: string): string => {
    let result = text;
    for (let n = Math.floor(random() * 4); n >= 0; n--) {
      const at = Math.floor(random() * (result.length + 1));
      const cut = random() < 0.5 ? 0 : Math.floor(random() * 12);
      result = result.slice(0, at) + (random() < 0.7 ? pick(PIECES) : '') + result.slice(at + cut);
    }
    return result;
  };
  let read = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [key, value] = [mutate(pick(KEYS)), mutate(pick(VALUES))];
    const shown = `TWILL_SEED=${seed}, round ${round}: ${key.slice(0, 200)} ${value.slice(0, 400)}`;
    const subnets = parseSubnetKey(key);
    if (subnets !== undefined) expect(formatSubnetKey(subnets), shown).toBe(key);
    const result = attempt(() => parseLeaseValue(value, 'key'));
    if ('value' in result) {
      read++;
      const again = formatLeaseValue(result.value.attrs, result.value.asked);
      const { attrs, asked } = parseLeaseValue(again, 'key');
      expect(formatLeaseValue(attrs, asked), shown).toBe(again);
    } else {
      expect(result.error, shown).toBeInstanceOf(TwillError);
      const { message } = result.error as TwillError;
      expect(message, shown).toMatch(/^key: [^\p{Cc}\p{Zl}\p{Bidi_Control}]+$/u);
      expect(message.length, shown).toBeLessThan(300);
    }
  }
  // Both outcomes occurred.
  expect(read).toBeGreaterThan(ROUNDS / 20);
  expect(read).toBeLessThan(ROUNDS);
});
