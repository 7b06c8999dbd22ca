// What a receiver gives at a time.
import { describe, expect, it } from 'vitest';
import { LOOPBACK, openPair } from './pair.ts';

describe('a receiver', () => {
  it('gives no more messages at a time than it is asked for', () => {
    using pair = openPair();
    for (let i = 0; i < 5; i += 1) {
      pair.sender.begin(LOOPBACK, pair.to.port, 0);
      pair.sender.append(pair.payload, 10 + i);
    }
    pair.sender.flush();
    const lengths: number[] = [];
    for (let tries = 0; tries < 1e6 && lengths.length < 5; tries += 1) {
      const count = pair.receiver.receive(2);
      expect(count).toBeLessThanOrEqual(2);
      for (let i = 0; i < count; i += 1) lengths.push(pair.receiver.length(i));
    }
    expect(lengths).toEqual([10, 11, 12, 13, 14]);
    expect(pair.receiver.receive(2)).toBe(0);
  });

  // The kernel would take a number below 0 for a large one, and write far beyond the table.
  it.each([0, -1, 1.5, Number.NaN, 33])('refuses to receive %j of at most 32 messages', (most) => {
    using pair = openPair();
    expect(() => pair.receiver.receive(most)).toThrow('most must be a whole number from 1 to 32');
  });
});
