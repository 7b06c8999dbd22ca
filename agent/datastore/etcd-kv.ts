// Implements Kv with etcd's v3 API. A session is an etcd lease; a conditional write is a transaction. The connection
// chooses the server and interprets its errors.
import { createChannel } from '../base/channel.ts';
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import { HistoryLost, type Kv, type KvEntry, type KvEvent } from '../model/kv.ts';
import { createEtcdConnection, type EtcdServer } from './etcd-connection.ts';
import type { EtcdListener, EtcdStream } from './etcd-endpoint.ts';
import { isLeaseGone, parseEtcdFailure } from './etcd-errors.ts';
import {
  type Compare,
  CREATE_REVISION,
  DELETE,
  EQUAL,
  type KeyValue,
  MOD_REVISION,
  type Request,
  type Response,
} from './etcd-messages.ts';
import { LIMITS } from './limits.ts';

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
        const { header, kvs } = await server.call('KV/Range', rangeOf(prefix));
        clusterId = header.cluster_id;
        return { entries: kvs.map(readEntry), revision: header.revision };
      }),
    get: (key, signal) =>
      connection.run(`read ${key}`, signal, async (server) => {
        const { kvs } = await server.call('KV/Range', { key });
        return kvs[0] === undefined ? undefined : readEntry(kvs[0]);
      }),
    openSession: (ttlSeconds, signal) =>
      connection.run('open a lease', signal, async (server) => {
        const { ID } = await server.call('Lease/LeaseGrant', { TTL: ttlSeconds });
        return ID;
      }),
    keepAlive: (session, signal) =>
      connection.run('keep a lease alive', signal, async (server, limit) => {
        const { TTL } = await askOnce(server, session, limit);
        return TTL > 0 ? TTL : undefined;
      }),
    closeSession: (session, signal) =>
      connection.run('give a lease back', signal, async (server) => {
        await server.call('Lease/LeaseRevoke', { ID: session }).catch((error: unknown) => {
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
        const request = {
          compare: [unchanged(key, revision)],
          success: [{ request_delete_range: { key } }],
          failure: [{ request_range: { key } }],
        };
        return (await transact(server, request, (now) => now === undefined)) !== undefined;
      }),
    async *watch(prefix, fromRevision, signal) {
      const what = `watch ${prefix}`;
      const either = AbortSignal.any([signal, closed.signal]);
      if (either.aborted) return;
      // One member may lag behind. A linearisable read gives the revision of the cluster.
      const latest = (): Promise<number> =>
        connection.run(what, either, async (server) => {
          const { header } = await server.call('KV/Range', { key: prefix, count_only: true });
          return header.revision;
        });
      const open = (listener: EtcdListener<'Watch/Watch'>): Promise<EtcdStream<'Watch/Watch'>> =>
        connection.run(what, either, async (server) => server.stream('Watch/Watch', listener));
      try {
        yield* readWatch({
          prefix,
          fromRevision,
          clock,
          signal: either,
          generation: generation.signal,
          clusterId,
          latest,
          open,
        });
      } catch (error) {
        if (either.aborted) return;
        const isKnown = error instanceof HistoryLost || error instanceof TwillError;
        throw isKnown ? error : connection.broken(error, what);
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
  request: Request<'KV/Txn'>,
  isDone: (now: KvEntry | undefined) => boolean,
): Promise<number | undefined> {
  const { succeeded, header, responses } = await server.call('KV/Txn', request);
  if (succeeded) return header.revision;
  if (!server.again) return undefined;
  const now = responses[0]?.response_range.kvs[0];
  const entry = now === undefined ? undefined : readEntry(now);
  if (!isDone(entry)) return undefined;
  return entry?.revision ?? header.revision;
}

// Writes a key if `compare` holds and its session has not ended; undefined: one of them is not so.
async function put(
  server: EtcdServer,
  compare: Compare,
  wanted: Pick<KvEntry, 'key' | 'value' | 'session'>,
): Promise<KvEntry | undefined> {
  const { key, value, session } = wanted;
  const write = { key, value, ...(session === undefined ? {} : { lease: session }) };
  try {
    const revision = await transact(
      server,
      { compare: [compare], success: [{ request_put: write }], failure: [{ request_range: { key } }] },
      (now) => now?.value === value && now.session === session,
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
async function* readWatch(watch: {
  readonly prefix: string;
  readonly fromRevision: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of the listed cluster; undefined: there was no listing. */
  readonly clusterId: string | undefined;
  /** Reads the store's revision. */
  readonly latest: () => Promise<number>;
  readonly open: (listener: EtcdListener<'Watch/Watch'>) => Promise<EtcdStream<'Watch/Watch'>>;
  /** Aborted when the connections of this generation are given up. */
  readonly generation: AbortSignal;
}): AsyncGenerator<readonly KvEvent[]> {
  const batches = createChannel<readonly KvEvent[]>(`watch of ${watch.prefix}`, LIMITS.storeEvents);
  const stop = (): void => batches.close();
  const leave = (): void => batches.fail(new Error('the connection was given up'));
  // Aborted when the watch is established: it ends the time limit for that.
  const established = new AbortController();
  const seen = watch.fromRevision - 1;
  // Not the header's revision: its events may still be on their way.
  const begin = (): void => batches.push([{ type: 'progress', revision: seen }]);
  const create = ({ cluster_id, revision }: Response<'Watch/Watch'>['header']): void => {
    established.abort();
    if (watch.clusterId !== undefined && cluster_id !== watch.clusterId) {
      batches.fail(new HistoryLost('another etcd cluster answers'));
    } else if (revision >= seen) begin();
    else {
      watch.latest().then(
        (now) => (now >= seen ? begin() : batches.fail(new HistoryLost(`etcd is at revision ${now}`))),
        (error: Error) => batches.fail(error),
      );
    }
  };
  const onMessage = (message: Response<'Watch/Watch'>): void => {
    if (message.canceled) {
      const why = message.cancel_reason === '' ? 'the server ended the watch' : message.cancel_reason;
      batches.fail(message.compact_revision > 0 ? new HistoryLost(why) : new WatchRefused(why));
    } else if (message.created) create(message.header);
    else if (message.events.length > 0) batches.push(message.events.map(readEvent));
    else batches.push([{ type: 'progress', revision: message.header.revision }]);
  };
  const stream = await watch.open({ onMessage, onEnd: (error) => batches.fail(error) });
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
    stream.send({ create_request: { ...range, start_revision: watch.fromRevision, progress_notify: true } });
    yield* batches;
  } finally {
    established.abort();
    watch.signal.removeEventListener('abort', stop);
    watch.generation.removeEventListener('abort', leave);
    stream.cancel();
  }
}

/** Asks to keep a session alive, and returns the first answer, which ends the stream. */
function askOnce(
  server: EtcdServer,
  session: string,
  signal: AbortSignal,
): Promise<Response<'Lease/LeaseKeepAlive'>> {
  return new Promise((resolve, reject) => {
    const stream = server.stream('Lease/LeaseKeepAlive', {
      onMessage(message) {
        stream.cancel();
        resolve(message);
      },
      onEnd: reject,
    });
    const stop = (): void => {
      stream.cancel();
      reject(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    stream.send({ ID: session });
  });
}

function readEvent({ type, kv }: Response<'Watch/Watch'>['events'][number]): KvEvent {
  if (type === DELETE) return { type: 'delete', key: kv.key, revision: kv.mod_revision };
  return { type: 'put', entry: readEntry(kv) };
}

function readEntry({ key, value, mod_revision, lease }: KeyValue): KvEntry {
  return { key, value, revision: mod_revision, session: lease === '0' ? undefined : lease };
}

function missing(key: string): Compare {
  return { key, target: CREATE_REVISION, result: EQUAL, create_revision: 0 };
}

function unchanged(key: string, revision: number): Compare {
  return { key, target: MOD_REVISION, result: EQUAL, mod_revision: revision };
}

// The range of all keys that start with `prefix`. Its end is the prefix with its last byte raised by one.
function rangeOf(prefix: string): { readonly key: string; readonly range_end: Buffer } {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return { key: prefix, range_end: end };
}
