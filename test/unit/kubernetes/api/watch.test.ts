import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../../agent/base/clock.ts';
import { anonymousAccess } from '../../../../agent/kubernetes/api/access.ts';
import {
  type ApiClient,
  type ApiClientDeps,
  createApiClient,
} from '../../../../agent/kubernetes/api/client.ts';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';
import { NODES } from '../../../../agent/kubernetes/api/resource.ts';
import type { WatchEvent } from '../../../../agent/kubernetes/api/watch.ts';
import {
  type Respond,
  type ScriptedApi,
  startScriptedApi,
  statusObject,
} from '../../../fakes/scripted-api.ts';
import { createVirtualClock } from '../../../fakes/virtual-clock.ts';
import { nodeJson } from '../../../support/node-json.ts';

const never = new AbortController().signal;
const nameOf = (object: unknown): string => (object as { metadata: { name: string } }).metadata.name;
const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;
const bookmark = (resourceVersion: string): string =>
  line('BOOKMARK', { kind: 'Node', metadata: { resourceVersion } });

async function open(
  respond: Respond,
  { clock = systemClock, random = () => 0.5 }: Partial<ApiClientDeps> = {},
): Promise<{ readonly api: ScriptedApi; readonly client: ApiClient }> {
  const api = await startScriptedApi(respond);
  const client = createApiClient(anonymousAccess(new URL(api.url)), { clock, random });
  onTestFinished(async () => {
    client[Symbol.dispose]();
    await api[Symbol.asyncDispose]();
  });
  return { api, client };
}

async function read<T>(
  events: AsyncIterable<T>,
): Promise<{ readonly events: T[]; readonly error?: unknown }> {
  const seen: T[] = [];
  try {
    for await (const event of events) seen.push(event);
  } catch (error) {
    return { events: seen, error };
  }
  return { events: seen };
}

/** The events of a watch whose server sends this text. */
async function watchText(text: string | Buffer): Promise<{ events: WatchEvent<string>[]; error?: unknown }> {
  const { client } = await open((_, response) => response.end(text));
  return read(await client.watch(NODES, '1', nameOf, never));
}

describe('a watch', () => {
  it.each([
    [0, 300],
    [0.5, 450],
    [0.999, 600],
  ])(
    'asks for changes after a version, for bookmarks, and for its end: by chance %s after %i s',
    async (chance, seconds) => {
      const { api, client } = await open((_, response) => response.end(), { random: () => chance });
      await read(await client.watch(NODES, '42', nameOf, never));
      expect(Object.fromEntries(api.calls[0]?.query ?? [])).toEqual({
        watch: 'true',
        resourceVersion: '42',
        allowWatchBookmarks: 'true',
        timeoutSeconds: String(seconds),
      });
    },
  );

  it('tells of each change with its version', async () => {
    const text = [
      line('ADDED', nodeJson('n1', { version: 2 })),
      line('MODIFIED', nodeJson('n1', { version: 3 })),
      bookmark('9'),
      '\n',
      line('RENAMED', nodeJson('n1', { version: 10 })),
      line('DELETED', nodeJson('n1', { version: 11 })),
    ].join('');
    expect(await watchText(text)).toEqual({
      events: [
        { type: 'put', object: 'n1', resourceVersion: '2' },
        { type: 'put', object: 'n1', resourceVersion: '3' },
        { type: 'progress', resourceVersion: '9' },
        { type: 'gone', object: 'n1', resourceVersion: '11' },
      ],
    });
  });

  it('is read wherever its bytes are cut', async () => {
    const bytes = Buffer.from(line('ADDED', nodeJson('zürich-🙂', { version: 2 })) + bookmark('3'));
    const { client } = await open(async (_, response) => {
      for (let at = 0; at < bytes.length; at += 7) {
        response.write(bytes.subarray(at, at + 7));
        await systemClock.sleep(0);
      }
      response.end();
    });
    const { events } = await read(await client.watch(NODES, '1', nameOf, never));
    expect(events).toEqual([
      { type: 'put', object: 'zürich-🙂', resourceVersion: '2' },
      { type: 'progress', resourceVersion: '3' },
    ]);
  });

  it.each([
    [410, 'too old resource version', 'gone'],
    [500, 'etcd has no leader', 'busy'],
    [504, 'Timeout: Too large resource version', 'busy'],
    [403, 'forbidden', 'forbidden'],
  ])(
    'ends with an error %i that the server writes into it, after the events before',
    async (code, message, kind) => {
      const text = line('ADDED', nodeJson('n1')) + line('ERROR', statusObject(code, message)) + bookmark('9');
      const { events, error } = await watchText(text);
      expect(events.map(({ type }) => type)).toEqual(['put']);
      expect(error).toMatchObject({
        kind,
        message: expect.stringMatching(`: HTTP status ${code}: ${message}$`),
      });
    },
  );

  it.each([
    ['a line that is no JSON', 'x\n', 'is no JSON'],
    ['a line without a version', line('ADDED', { metadata: { name: 'n1' } }), 'no resource version'],
    ['a line that is too long', `"${'x'.repeat(LIMITS.objectBytes + 100_000)}`, 'a line has more than'],
  ])('ends with an error after %s', async (_, text, reason) => {
    const { error } = await watchText(line('ADDED', nodeJson('n1')) + text);
    expect(error).toMatchObject({ kind: 'unreadable', message: expect.stringContaining(reason) });
  });

  it('leaves out a last line that was cut off', async () => {
    const { events } = await watchText(line('ADDED', nodeJson('n1')) + bookmark('123456').slice(0, -1));
    expect(events.length).toBe(1);
  });

  it('fails to open where its version is too old', async () => {
    const { client } = await open((_, response) => {
      response.writeHead(410).end(JSON.stringify(statusObject(410, 'too old')));
    });
    await expect(client.watch(NODES, '1', nameOf, never)).rejects.toMatchObject({ kind: 'gone' });
  });

  it('is given up when it is silent, and not while bookmarks come', async () => {
    const clock = createVirtualClock();
    let send: ((text: string) => void) | undefined;
    const { client } = await open(
      (_, response) => {
        response.writeHead(200);
        send = (text) => void response.write(text);
        send(bookmark('1'));
      },
      { clock },
    );
    const seen: unknown[] = [];
    let failure: unknown;
    const events = await client.watch(NODES, '1', nameOf, never);
    const reading = (async () => {
      for await (const event of events) seen.push(event);
    })().catch((error: unknown) => {
      failure = error;
    });
    for (let minute = 2; minute <= 5; minute++) {
      await clock.advance(60_000);
      send?.(bookmark(String(minute)));
      await expect.poll(() => seen.length).toBe(minute);
    }
    await clock.advance(LIMITS.watchSilenceMs - 1);
    expect(failure).toBeUndefined();
    await clock.advance(1);
    await reading;
    expect(failure).toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('silent for 150000 ms'),
    });
    expect(clock.sleepers).toBe(0);
  });

  it('is given up where the server does not end it', async () => {
    const clock = createVirtualClock();
    let send: (() => void) | undefined;
    let seen = 0;
    const { client } = await open(
      (_, response) => {
        response.writeHead(200);
        send = () => void response.write(bookmark('1'));
        send();
      },
      { clock },
    );
    const events = await client.watch(NODES, '1', nameOf, never);
    const reading = (async () => {
      for await (const _ of events) seen += 1;
    })().catch((error: unknown) => error);
    for (let minute = 1; minute <= 7; minute++) {
      await expect.poll(() => seen).toBe(minute);
      await clock.advance(60_000);
      send?.();
    }
    await clock.advance(60_000);
    expect(await reading).toMatchObject({
      message: expect.stringContaining('no whole answer within 480000 ms'),
    });
  });

  it('ends at once with the reason of its signal, and its connection with it', async () => {
    let isClosed = false;
    const { client } = await open((_, response) => {
      response.writeHead(200);
      response.write(bookmark('1'));
      response.on('close', () => {
        isClosed = true;
      });
    });
    const controller = new AbortController();
    const events = await client.watch(NODES, '1', nameOf, controller.signal);
    // The first event aborts; the second one never comes.
    const reading = (async () => {
      for await (const _ of events) controller.abort(new Error('stop'));
    })();
    await expect(reading).rejects.toThrow('stop');
    await expect.poll(() => isClosed).toBe(true);
  });

  it('that nobody has read yet survives the end of its connection', async () => {
    const { api, client } = await open((_, response) => {
      response.writeHead(200);
      response.write(bookmark('1'));
    });
    const events = await client.watch(NODES, '1', nameOf, never);
    api.disconnect();
    await systemClock.sleep(50);
    expect((await read(events)).error).toMatchObject({ kind: 'unreachable' });
  });

  it('frees its connection when its reader leaves', async () => {
    let isClosed = false;
    const { client } = await open((_, response) => {
      response.writeHead(200);
      response.write(bookmark('1'));
      response.on('close', () => {
        isClosed = true;
      });
    });
    for await (const _ of await client.watch(NODES, '1', nameOf, never)) break;
    await expect.poll(() => isClosed).toBe(true);
  });
});
