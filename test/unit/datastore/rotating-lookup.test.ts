import { describe, expect, it } from 'vitest';
import { createRotatingLookup } from '../../../agent/datastore/rotating-lookup.ts';

describe('a name with several addresses', () => {
  const FOUND = ['10.0.0.1', '10.0.0.2', 'fd00::3'];

  /** The addresses of some connections, each in its order. */
  async function ask(found: readonly string[], random: number, times: number): Promise<readonly string[]> {
    const rotating = createRotatingLookup(
      () => random,
      (_name, _options, callback) =>
        callback(
          null,
          found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        ),
    );
    const answers: string[] = [];
    for (let i = 0; i < times; i += 1) {
      await new Promise<void>((resolve) => {
        rotating('etcd.example', { all: true }, (_error, addresses) => {
          answers.push((addresses as { address: string }[]).map(({ address }) => address).join(' '));
          resolve();
        });
      });
    }
    return answers;
  }

  it('each connection begins with another address of the name, and knows all of them', async () => {
    expect(await ask(FOUND, 0, 4)).toEqual([
      '10.0.0.1 10.0.0.2 fd00::3',
      '10.0.0.2 fd00::3 10.0.0.1',
      'fd00::3 10.0.0.1 10.0.0.2',
      '10.0.0.1 10.0.0.2 fd00::3',
    ]);
  });

  it('the first address of the name is chosen by chance', async () => {
    expect(await ask(FOUND, 0.99, 1)).toEqual(['fd00::3 10.0.0.1 10.0.0.2']);
  });

  it('a name with one address leads to it each time', async () => {
    expect(await ask(['10.0.0.1'], 0.5, 2)).toEqual(['10.0.0.1', '10.0.0.1']);
  });
});
