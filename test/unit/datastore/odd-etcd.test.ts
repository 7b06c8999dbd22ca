// A server that answers as no etcd does. Each answer ends as one error of the datastore, and never the process.
import { describe, expect, it, onTestFinished } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { LIMITS } from '../../../agent/datastore/limits.ts';
import { HistoryLost, type Kv } from '../../../agent/model/kv.ts';
import {
  frameOf,
  openScriptedEtcd,
  responseFrame,
  type ScriptedCall,
  sendFrames,
  sendStatus,
} from '../../fakes/scripted-etcd.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';

const ENTRY = { key: '/a', value: '1', revision: 7, created: 7, session: undefined };
const HEADER = { cluster_id: '5', revision: 9 };
const RANGES = ['/net/config', '/net/subnets/'];

/** Operations of each kind. A watch ends when it is established. */
const OPERATIONS: Readonly<Record<string, (kv: Kv) => Promise<unknown>>> = {
  list: (kv) => kv.list(RANGES),
  get: (kv) => kv.get('/a'),
  openSession: (kv) => kv.openSession(60),
  keepAlive: (kv) => kv.keepAlive('7'),
  closeSession: (kv) => kv.closeSession('7'),
  create: (kv) => kv.create('/a', '1', '7'),
  update: (kv) => kv.update(ENTRY, '2'),
  delete: (kv) => kv.delete(ENTRY),
  watch: (kv) => watchTwice(kv),
};

/** The first batches of a watch. */
async function watchTwice(kv: Kv): Promise<unknown[]> {
  const batches: unknown[] = [];
  for await (const batch of kv.watch(RANGES, 8, new AbortController().signal)) {
    batches.push(batch);
    if (batches.length === 2) break;
  }
  return batches;
}

/** What nobody caught in this process until the test ends. */
function noteUncaught(): unknown[] {
  const thrown: unknown[] = [];
  const note = (error: unknown): number => thrown.push(error);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    const others = process.listeners(event as 'uncaughtException');
    process.removeAllListeners(event).on(event, note);
    onTestFinished(() => {
      process.off(event, note);
      for (const other of others) process.on(event as 'uncaughtException', other);
    });
  }
  return thrown;
}

const thrownBy = (operation: Promise<unknown>): Promise<unknown> =>
  operation.then(
    () => undefined,
    (error: unknown) => error,
  );

const ODD: readonly (readonly [what: string, answer: (call: ScriptedCall) => void, words: RegExp])[] = [
  ['noise', (call) => sendFrames(call, frameOf(Buffer.of(0xff, 1, 2))), /malformed message/],
  [
    'a message that is cut off',
    ({ stream }) => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.of(0, 0, 0, 0, 9, 1));
    },
    /closed/,
  ],
  ['the status OK without a message', (call) => sendStatus(call, 0, ''), /gave no answer|ended the stream/],
  [
    'a page of HTML',
    ({ stream }) => {
      stream.respond({ ':status': 200, 'content-type': 'text/html; charset=utf-8' });
      stream.end('<html>');
    },
    /it answered with "text\/html; charset=utf-8", and not with gRPC/,
  ],
  ['a reset', ({ stream }) => stream.close(2), /NGHTTP2_INTERNAL_ERROR/],
  ['the end of the session', ({ stream }) => stream.session?.destroy(), /closed|Session/],
  ['a status without words', (call) => sendStatus(call, 13, ''), /it answered with the gRPC status "13"/],
  ['a status with many words', (call) => sendStatus(call, 3, 'm'.repeat(20_000)), /: m{500}$/],
  [
    'a message that is too large',
    (call) => sendFrames(call, Buffer.of(0, 0x7f, 0xff, 0xff, 0xff)),
    /a message of 2147483647 bytes/,
  ],
];

describe('an odd answer of an etcd', () => {
  it.each(ODD)('%s ends as one error of the datastore, for each operation', async (_, answer, words) => {
    const thrown = noteUncaught();
    const kv = await openScriptedEtcd(answer);
    for (const [name, operation] of Object.entries(OPERATIONS)) {
      const error = await thrownBy(operation(kv));
      if (error instanceof HistoryLost) continue;
      expect(error, name).toBeInstanceOf(TwillError);
      expect((error as TwillError).code, name).toBe('datastore');
      expect((error as TwillError).message, name).toMatch(words);
      expect((error as TwillError).message, name).not.toMatch(/\n/);
    }
    expect(thrown).toEqual([]);
  });

  it('random bytes end as errors of the datastore, or say nothing', async () => {
    const thrown = noteUncaught();
    const random = seededRandom(3);
    const kv = await openScriptedEtcd((call) => {
      const noise = Buffer.from(Array.from({ length: random() * 50 }, () => random() * 256));
      // A stream that says nothing would stay open: its message begins with a wire type that does not exist.
      const isStream = call.method === 'Watch/Watch' || call.method === 'Lease/LeaseKeepAlive';
      sendFrames(call, frameOf(isStream ? Buffer.concat([Buffer.of(0x0f), noise]) : noise));
    });
    for (let run = 0; run < 20; run++) {
      for (const operation of Object.values(OPERATIONS)) {
        const error = await thrownBy(operation(kv));
        if (error !== undefined) expect(error).toMatchObject({ code: 'datastore' });
      }
    }
    expect(thrown).toEqual([]);
  });

  it.each([
    ['a listing without a revision', 'list', responseFrame('KV/Txn', { succeeded: true })],
    [
      'an entry without a revision',
      'get',
      responseFrame('KV/Range', { header: HEADER, kvs: [{ key: '/a', value: '1' }] }),
    ],
    ['a session without an id', 'openSession', responseFrame('Lease/LeaseGrant', {})],
    ['a write without a revision', 'update', responseFrame('KV/Txn', { succeeded: true })],
  ])('%s is malformed', async (_, operation, frame) => {
    const kv = await openScriptedEtcd((call) => sendFrames(call, frame));
    expect(await thrownBy(OPERATIONS[operation]?.(kv) ?? Promise.resolve())).toMatchObject({
      code: 'datastore',
      message: expect.stringContaining('the server sent a malformed message'),
    });
  });
});

describe('an odd answer to a watch', () => {
  const created = (watch_id: string) => ({ watch_id, created: true, header: HEADER });
  const put = { kv: { key: '/net/config', value: '{}', create_revision: 10, mod_revision: 10 } };
  const watching = (...messages: readonly object[]) =>
    openScriptedEtcd((call) =>
      sendFrames(call, ...messages.map((message) => responseFrame('Watch/Watch', message))),
    );

  it('a watch passes over progress of watches that it has not asked for', async () => {
    const strange = { watch_id: '99', header: { cluster_id: '5', revision: 1_000_000 } };
    const kv = await watching(created('0'), created('1'), created('2'), strange, {
      watch_id: '0',
      header: HEADER,
      events: [put],
    });
    expect(await watchTwice(kv)).toEqual([
      [{ type: 'progress', revision: 7 }],
      [{ type: 'put', entry: { ...ENTRY, key: '/net/config', value: '{}', revision: 10, created: 10 } }],
    ]);
  });

  it('a watch whose changes are too large for a message has lost its history', async () => {
    const kv = await openScriptedEtcd((call) => {
      const large = Buffer.alloc(5);
      large.writeUInt32BE(LIMITS.datastoreAnswerBytes + 1, 1);
      sendFrames(call, ...['0', '1'].map((id) => responseFrame('Watch/Watch', created(id))), large);
    });
    await expect(watchTwice(kv)).rejects.toBeInstanceOf(HistoryLost);
  });

  it('a watch that is cancelled with endless words says some of them', async () => {
    const kv = await watching({ watch_id: '0', canceled: true, cancel_reason: 'm'.repeat(1_000_000) });
    await expect(watchTwice(kv)).rejects.toMatchObject({
      code: 'datastore',
      message: expect.stringMatching(/m{500}/),
    });
    await expect(watchTwice(kv)).rejects.not.toMatchObject({ message: expect.stringMatching(/m{501}/) });
  });
});
