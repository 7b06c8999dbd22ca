// Listings of an etcd that are too large for one answer.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/datastore/limits.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import {
  openScriptedEtcd,
  responseFrame,
  type ScriptedCall,
  sendFrames,
  sendStatus,
} from '../../fakes/scripted-etcd.ts';

const RANGES = ['/net/config', '/net/subnets/'];
const REVISION = 77;

interface Stored {
  readonly key: string;
  readonly value: Buffer;
}

// The beginning of a message: its length is enough.
const TOO_LARGE = Buffer.from([0, ...Buffer.alloc(4, 0x7f)]);
const isTooLarge = (kvs: readonly Stored[]): boolean =>
  kvs.reduce((sum, { value }) => sum + value.length, 0) > LIMITS.datastoreAnswerBytes;

/** An etcd that holds `stored` under `/net/subnets/`, and the keys and limits that it was asked for. */
async function holding(stored: readonly Stored[], compactAt?: number) {
  const asked: string[] = [];
  const page = (from: string, limit: number) => {
    const rest = stored.filter(({ key }) => key >= from);
    const kvs = rest.slice(0, limit).map((entry) => ({ ...entry, create_revision: 5, mod_revision: 6 }));
    return { kvs, more: rest.length > limit };
  };
  const header = { cluster_id: '9', revision: REVISION };
  const answer = (call: ScriptedCall): void => {
    if (call.method === 'KV/Txn') {
      const ops = call.request['success'] as readonly { request_range: { key: Buffer; limit: number } }[];
      const limit = ops[0]?.request_range.limit ?? 0;
      asked.push(`first ${limit}`);
      const first = page('', limit);
      const responses = [{}, { response_range: first }];
      if (isTooLarge(first.kvs)) sendFrames(call, TOO_LARGE);
      else sendFrames(call, responseFrame('KV/Txn', { header, succeeded: true, responses }));
      return;
    }
    const { key, limit, revision } = call.request as { key: Buffer; limit: number; revision: number };
    asked.push(`${JSON.stringify(key.toString().slice('/net/subnets/'.length))} ${limit} @${revision}`);
    if (asked.length === compactAt) {
      sendStatus(call, 11, 'etcdserver: mvcc: required revision has been compacted');
      return;
    }
    const next = page(key.toString(), limit);
    if (isTooLarge(next.kvs)) sendFrames(call, TOO_LARGE);
    else sendFrames(call, responseFrame('KV/Range', { header, ...next }));
  };
  return { kv: await openScriptedEtcd(answer), asked };
}

const named = (index: number, bytes = 3): Stored => ({
  key: `/net/subnets/${String(index).padStart(6, '0')}`,
  value: Buffer.alloc(bytes, 'x'),
});
const many = (count: number, bytes?: number): Stored[] =>
  Array.from({ length: count }, (_, index) => named(index, bytes));
const keysOf = async (kv: Kv): Promise<string[]> => (await kv.list(RANGES)).entries.map(({ key }) => key);

describe('a listing of an etcd', () => {
  it('a listing of few keys is one request', async () => {
    const { kv, asked } = await holding(many(LIMITS.pageKeys));
    expect(await kv.list(RANGES)).toMatchObject({ entries: { length: LIMITS.pageKeys }, revision: REVISION });
    expect(asked).toEqual([`first ${LIMITS.pageKeys}`]);
  });

  it('a listing of more keys goes on behind the last one, at the revision of the first page', async () => {
    const stored = many(2 * LIMITS.pageKeys + 1);
    const { kv, asked } = await holding(stored);
    expect(await keysOf(kv)).toEqual(stored.map(({ key }) => key));
    expect(asked).toEqual([
      `first ${LIMITS.pageKeys}`,
      `"009999\\u0000" ${LIMITS.pageKeys} @${REVISION}`,
      `"019999\\u0000" ${LIMITS.pageKeys} @${REVISION}`,
    ]);
  });

  it('a listing asks for fewer keys where an answer is too large, and then for more again', async () => {
    const stored = many(60, LIMITS.datastoreAnswerBytes / 20);
    const { kv, asked } = await holding(stored);
    const { entries } = await kv.list(RANGES);
    expect(entries.map(({ key }) => key)).toEqual(stored.map(({ key }) => key));
    expect(new Set(entries.map(({ value }) => value))).toEqual(new Set([undefined]));
    const limits = asked.map((line) => Number(/^\S+ (\d+)/.exec(line)?.[1]));
    expect(limits).toEqual([10_000, 1_250, 156, 19, 38, 4, 8, 16, 32]);
  });

  it('a listing begins anew when its revision is compacted between two pages', async () => {
    const stored = many(LIMITS.pageKeys + 1);
    const { kv, asked } = await holding(stored, 2);
    expect(await keysOf(kv)).toHaveLength(stored.length);
    expect(asked.map((line) => line.split(' ')[0])).toEqual([
      'first',
      '"009999\\u0000"',
      'first',
      '"009999\\u0000"',
    ]);
  });

  it.each([
    ['keys', many(LIMITS.pageKeys), `more than ${LIMITS.listedKeys} keys`],
    ['text', many(200, LIMITS.valueBytes), `more than ${LIMITS.listedChars} characters`],
  ])('a listing of %s without end fails in one line with the remedy', async (_, stored, words) => {
    const response_range = {
      kvs: stored.map((entry) => ({ ...entry, create_revision: 5, mod_revision: 6 })),
      more: true,
    };
    const header = { cluster_id: '9', revision: REVISION };
    const frames = {
      'KV/Txn': responseFrame('KV/Txn', { header, succeeded: true, responses: [{}, { response_range }] }),
      'KV/Range': responseFrame('KV/Range', { header, ...response_range }),
    };
    const kv = await openScriptedEtcd((call) => sendFrames(call, frames[call.method as keyof typeof frames]));
    await expect(kv.list(RANGES)).rejects.toMatchObject({
      code: 'datastore',
      message: `/net/subnets/ holds ${words}: too much for the leases of a network`,
      hint: expect.stringContaining('etcdctl get --prefix --keys-only /net/subnets/'),
    });
  });

  it('a listing reads the beginning of a long key alone', async () => {
    const key = `/net/subnets/${'k'.repeat(LIMITS.keyBytes)}`;
    const { kv } = await holding([{ key, value: Buffer.of(1) }]);
    expect(await keysOf(kv)).toEqual([`${key.slice(0, LIMITS.keyBytes)}…`]);
  });
});
