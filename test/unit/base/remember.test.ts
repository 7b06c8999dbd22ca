import { expect, it } from 'vitest';
import { remember } from '../../../agent/base/remember.ts';

it('makes one thing of each item, and another one as soon as the rest is another', () => {
  const make = remember((context: { readonly name: string }, item: { readonly number: number }) => ({
    text: `${context.name}${item.number}`,
  }));
  const [a, b] = [{ name: 'a' }, { name: 'b' }];
  const [one, two] = [{ number: 1 }, { number: 2 }];
  const first = make(a, one);
  expect(make(a, two)).toEqual({ text: 'a2' });
  expect(make(a, one)).toBe(first);
  expect(make(b, one)).toEqual({ text: 'b1' });
  expect(make(a, one)).not.toBe(first);
});
