// Implements Kv with etcd's v3 API. A session is an etcd lease; a conditional write is a transaction. The connection
// chooses the server and interprets its errors.
import { createChannel } from '../base/channel.ts';
import type { Clock } from '../base/clock.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import { HistoryLost, type Kv, type KvEntry, type KvEvent } from '../model/kv.ts';
import { createEtcdConnection, type EtcdServer } from './etcd-connection.ts';
import type {
  EtcdStream,
  KeepAliveRequest,
  KeepAliveResponse,
  KeyValue,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from './etcd-endpoint.ts';
import { isLeaseGone, parseEtcdFailure } from './etcd-errors.ts';
import { LIMITS } from './limits.ts';

type Compare = NonNullable<TxnRequest['compare']>[number];

/** Opens a store in an etcd cluster, without a request. Fails as `datastore` when certificates cannot be used. */
export async function openEtcdKv(
  options: EtcdOptions,
  { clock, random }: { readonly clock: Clock; readonly random: () => number },
): Promise<Kv> {
  const connection = await createEtcdConnection(options, clock, random);
  const closed = new AbortController();
  // Of the cluster that was listed last. Revisions of another cluster cannot be compared with it.
  let clusterId: string | undefined;
  // Aborted by `reconnect`, which begins a new generation of connections.
  let generation = new AbortController();

  return {
    list: (prefix, signal) =>
      connection.run(`list ${prefix}`, signal, async (server) => {
        const answer = await server.call<RangeResponse>('KV', 'range', rangeOf(prefix));
        clusterId = answer.header.cluster_id;
        return { entries: answer.kvs.map(readEntry), revision: Number(answer.header.revision) };
      }),
    get: (key, signal) =>
      connection.run(`read ${key}`, signal, async (server) => {
        const { kvs } = await server.call<RangeResponse>('KV', 'range', { key: Buffer.from(key) });
        return kvs[0] === undefined ? undefined : readEntry(kvs[0]);
      }),
    openSession: (ttlSeconds, signal) =>
      connection.run('open a lease', signal, async (server) => {
        const { ID } = await server.call<{ ID: string }>('Lease', 'leaseGrant', { TTL: ttlSeconds });
        return ID;
      }),
    keepAlive: (session, signal) =>
      connection.run('keep a lease alive', signal, async (server, limit) => {
        const stream = await server.stream<KeepAliveRequest, KeepAliveResponse>('Lease', 'leaseKeepAlive');
        const ttlSeconds = Number((await askOnce(stream, { ID: session }, limit)).TTL);
        return ttlSeconds > 0 ? ttlSeconds : undefined;
      }),
    closeSession: (session, signal) =>
      connection.run('give a lease back', signal, async (server) => {
        await server.call('Lease', 'leaseRevoke', { ID: session }).catch((error: unknown) => {
          if (!isLeaseGone(parseEtcdFailure(error))) throw error;
        });
      }),
    create: (key, value, session, signal) =>
      connection.run(`create ${key}`, signal, (server) => put(server, missing(key), { key, value, session })),
    update: ({ key, revision, session }, value, signal) =>
      connection.run(`update ${key}`, signal, (server) =>
        put(server, unchanged(key, revision), { key, value, session }),
      ),
    delete: ({ key, revision }, signal) =>
      connection.run(`delete ${key}`, signal, async (server) => {
        const name = { key: Buffer.from(key) };
        const request: TxnRequest = {
          compare: [unchanged(key, revision)],
          success: [{ request_delete_range: name }],
          failure: [{ request_range: name }],
        };
        return (await transact(server, request, (now) => now === undefined)) !== undefined;
      }),
    async *watch(prefix, fromRevision, signal) {
      const what = `watch ${prefix}`;
      const either = AbortSignal.any([signal, closed.signal]);
      if (either.aborted) return;
      const ourGeneration = generation.signal;
      const stream = await connection
        .run(what, either, (server) => server.stream<WatchRequest, WatchResponse>('Watch', 'watch'))
        .catch((error: unknown) => {
          if (either.aborted) return undefined;
          throw error;
        });
      if (stream === undefined) return;
      try {
        // One member may lag behind. A linearisable read gives the revision of the cluster.
        const latest = (): Promise<number> =>
          connection.run(what, either, async (server) => {
            const request = { key: Buffer.from(prefix), count_only: true };
            return Number((await server.call<RangeResponse>('KV', 'range', request)).header.revision);
          });
        yield* readWatch(stream, {
          prefix,
          fromRevision,
          clock,
          signal: either,
          generation: ourGeneration,
          clusterId,
          latest,
        });
      } catch (error) {
        if (either.aborted) return;
        throw error instanceof HistoryLost ? error : connection.broken(error, what);
      }
    },
    reconnect() {
      connection.reconnect();
      generation.abort();
      generation = new AbortController();
    },
    async [Symbol.asyncDispose]() {
      closed.abort();
      connection.close();
    },
  };
}

// Returns the revision that `request` wrote. If the answer to an earlier attempt was lost, the key may hold that
// attempt's write already: `isDone` recognises it.
async function transact(
  server: EtcdServer,
  request: TxnRequest,
  isDone: (now: KvEntry | undefined) => boolean,
): Promise<number | undefined> {
  const { succeeded, header, responses } = await server.call<TxnResponse>('KV', 'txn', request);
  if (succeeded) return Number(header.revision);
  if (!server.again) return undefined;
  const now = responses[0]?.response_range?.kvs[0];
  const entry = now === undefined ? undefined : readEntry(now);
  if (!isDone(entry)) return undefined;
  return entry?.revision ?? Number(header.revision);
}

// Writes a key if `compare` holds and its session has not ended; undefined: one of them is not so.
async function put(
  server: EtcdServer,
  compare: Compare,
  wanted: Pick<KvEntry, 'key' | 'value' | 'session'>,
): Promise<KvEntry | undefined> {
  const key = Buffer.from(wanted.key);
  const value = Buffer.from(wanted.value);
  const write = { key, value, ...(wanted.session === undefined ? {} : { lease: wanted.session }) };
  try {
    const revision = await transact(
      server,
      { compare: [compare], success: [{ request_put: write }], failure: [{ request_range: { key } }] },
      (now) => now?.value === wanted.value && now.session === wanted.session,
    );
    return revision === undefined ? undefined : { ...wanted, revision };
  } catch (error) {
    if (isLeaseGone(parseEtcdFailure(error))) return undefined;
    throw error;
  }
}

/** The server cancelled a watch. Its reason is parsed like the details of a failed call. */
class WatchRefused extends Error {
  readonly code = FAILED_PRECONDITION;
}

// gRPC's status code for a request that the server's state does not allow.
const FAILED_PRECONDITION = 9;

/**
 * Batches of one watch, until its stream breaks or the signal is aborted. etcd accepts a watch from a future revision
 * and is silent until it gets there. We treat that as lost history.
 */
async function* readWatch(
  stream: EtcdStream<WatchRequest, WatchResponse>,
  watch: {
    readonly prefix: string;
    readonly fromRevision: number;
    readonly clock: Clock;
    readonly signal: AbortSignal;
    /** Of the listed cluster; undefined: there was no listing. */
    readonly clusterId: string | undefined;
    /** Reads the store's revision. */
    readonly latest: () => Promise<number>;
    /** Aborted when the connections of this generation are given up. */
    readonly generation: AbortSignal;
  },
): AsyncGenerator<readonly KvEvent[]> {
  const batches = createChannel<readonly KvEvent[]>(`watch of ${watch.prefix}`, LIMITS.storeEvents);
  const stop = (): void => batches.close();
  const leave = (): void => batches.fail(new Error('the connection was given up'));
  // Aborted when the watch is established: it ends the time limit for that.
  const established = new AbortController();
  const seen = watch.fromRevision - 1;
  // Not the header's revision: its events may still be on their way.
  const begin = (): void => batches.push([{ type: 'progress', revision: seen }]);
  stream.on('error', (error) => batches.fail(error));
  stream.on('end', () => batches.fail(new Error('the server ended the watch')));
  stream.on('data', (message) => {
    if (message.canceled) {
      const compacted = Number(message.compact_revision) > 0;
      const why = message.cancel_reason === '' ? 'the server ended the watch' : message.cancel_reason;
      batches.fail(compacted ? new HistoryLost(why) : new WatchRefused(why));
    } else if (message.created) {
      established.abort();
      const { cluster_id, revision } = message.header;
      if (watch.clusterId !== undefined && cluster_id !== watch.clusterId) {
        batches.fail(new HistoryLost('another etcd cluster answers'));
      } else if (Number(revision) >= seen) begin();
      else {
        watch.latest().then(
          (now) => (now >= seen ? begin() : batches.fail(new HistoryLost(`etcd is at revision ${now}`))),
          (error: Error) => batches.fail(error),
        );
      }
    } else if (message.events.length === 0) {
      batches.push([{ type: 'progress', revision: Number(message.header.revision) }]);
    } else {
      batches.push(
        message.events.map(({ type, kv }) =>
          type === 'Delete'
            ? { type: 'delete', key: kv.key.toString(), revision: Number(kv.mod_revision) }
            : { type: 'put', entry: readEntry(kv) },
        ),
      );
    }
  });
  watch.signal.addEventListener('abort', stop, { once: true });
  watch.generation.addEventListener('abort', leave, { once: true });
  try {
    if (watch.signal.aborted) return;
    if (watch.generation.aborted) leave();
    void watch.clock.sleep(LIMITS.datastoreRequestMs, established.signal).then(
      () => batches.fail(new Error(`no answer within ${LIMITS.datastoreRequestMs} ms`)),
      () => undefined,
    );
    const range = rangeOf(watch.prefix);
    stream.write({
      create_request: { ...range, start_revision: String(watch.fromRevision), progress_notify: true },
    });
    yield* batches;
  } finally {
    established.abort();
    watch.signal.removeEventListener('abort', stop);
    watch.generation.removeEventListener('abort', leave);
    stream.cancel();
  }
}

/** Writes one message to a stream and returns the first answer, which ends the stream. */
function askOnce<Request, Response>(
  stream: EtcdStream<Request, Response>,
  message: Request,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise<Response>((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    stream.on('data', resolve);
    stream.on('error', reject);
    stream.on('end', () => reject(new Error('the server ended the stream')));
    stream.write(message);
  }).finally(() => stream.cancel());
}

function readEntry({ key, value, mod_revision, lease }: KeyValue): KvEntry {
  return {
    key: key.toString(),
    value: value.toString(),
    revision: Number(mod_revision),
    session: lease === '0' ? undefined : lease,
  };
}

function missing(key: string): Compare {
  return { key: Buffer.from(key), target: 'Create', result: 'Equal', create_revision: '0' };
}

function unchanged(key: string, revision: number): Compare {
  return { key: Buffer.from(key), target: 'Mod', result: 'Equal', mod_revision: String(revision) };
}

// The range of all keys that start with `prefix`. Its end is the prefix with its last byte raised by one.
function rangeOf(prefix: string): { readonly key: Buffer; readonly range_end: Buffer } {
  const key = Buffer.from(prefix);
  const end = Buffer.from(key);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return { key, range_end: end };
}
