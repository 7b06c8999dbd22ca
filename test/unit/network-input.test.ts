// The configuration that `twill network set` reads, and those that nodes read from the datastore: bounded, and UTF-8.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dispatch, parseInvocation } from '../../agent/cli/dispatch.ts';
import { NETWORK_CONFIG_BYTES } from '../../agent/model/limits.ts';
import { parseNetworkConfig } from '../../agent/model/network-config.ts';

const CONFIG = '{"Network":"10.5.0.0/16"}';

interface Outcome {
  readonly printed: string;
  /** Chunks of the standard input that were read. */
  readonly chunksRead: number;
}

/** Runs `twill network set` with a standard input of these chunks. */
async function set(
  source: string,
  chunk: (index: number) => Buffer | undefined = () => undefined,
): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-network-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  let printed = '';
  let chunksRead = 0;
  const run = dispatch(parseInvocation('twill', ['network', 'set', source, `--store=file:${folder}/store`]), {
    signal: new AbortController().signal,
    environment: {},
    readVersion: () => '1.2.3',
    print: async (more) => {
      printed += more;
    },
    async *openInput() {
      for (let next = chunk(0); next !== undefined; next = chunk(++chunksRead)) yield next;
    },
  });
  await run.catch((error: unknown) => {
    throw Object.assign(error as Error, { chunksRead });
  });
  return { printed, chunksRead };
}

const once =
  (text: string | Buffer) =>
  (index: number): Buffer | undefined =>
    index === 0 ? Buffer.from(text) : undefined;

describe('the input of network set', () => {
  it('a configuration of the largest size is written', async () => {
    const text = CONFIG.padEnd(NETWORK_CONFIG_BYTES);
    expect((await set('-', once(text))).printed).toBe('wrote /coreos.com/network/config\n');
  });

  it('an endless input is not read to its end', async () => {
    const error = await set('-', () => Buffer.alloc(16_384, ' ')).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'config',
      message: `standard input: longer than ${NETWORK_CONFIG_BYTES} bytes`,
      chunksRead: 4,
    });
  });

  it.each([
    [
      'a long argument',
      CONFIG.replace('{', `{${' '.repeat(NETWORK_CONFIG_BYTES)}`),
      'network configuration: longer',
    ],
    ['an empty argument', '', 'network configuration: not valid JSON: '],
  ])('%s is refused in one line', async (_what, source, message) => {
    await expect(set(source)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(message),
    });
  });

  it('an input that is not UTF-8 is refused', async () => {
    const latin1 = Buffer.from('{"Network":"10.5.0.0/16","Note":"Z\u00fcrich"}', 'latin1');
    await expect(set('-', once(latin1))).rejects.toMatchObject({
      code: 'config',
      message: 'standard input: not valid UTF-8',
    });
    const path = join(await mkdtemp(join(tmpdir(), 'tw-latin1-')), 'config.json');
    onTestFinished(() => rm(path));
    await writeFile(path, latin1);
    await expect(set(`@${path}`)).rejects.toMatchObject({ message: `${path}: not valid UTF-8` });
  });
});

it('a configuration in the datastore that is too long is refused in one line', () => {
  expect(() => parseNetworkConfig(CONFIG.padEnd(NETWORK_CONFIG_BYTES + 1), '/net/config')).toThrow(
    /^\/net\/config: longer than 65536 bytes$/,
  );
});
