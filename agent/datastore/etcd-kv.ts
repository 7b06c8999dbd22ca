// Implements Kv with etcd's v3 API. A session is an etcd lease; a conditional write is a transaction. The connection
// chooses the server and interprets its errors.
import { type Clock, deadline } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import {
  HistoryLost,
  isPrefixRange,
  type Kv,
  type KvEntry,
  type KvRanges,
  Reconnecting,
  rangesOf,
} from '../model/kv.ts';
import { createEtcdConnection, type EtcdServer } from './etcd-connection.ts';
import { rangeRequest, readEntry, revisionOf } from './etcd-entry.ts';
import { type EtcdAttempt, isDenied, isLeaseGone, parseEtcdFailure } from './etcd-errors.ts';
import { listRanges } from './etcd-list.ts';
import {
  type Compare,
  CREATE_REVISION,
  EQUAL,
  type Header,
  MOD_REVISION,
  type Request,
  type Response,
} from './etcd-messages.ts';
import { readWatch } from './etcd-watch.ts';
import { LIMITS } from './limits.ts';
import { malformed } from './protobuf.ts';

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

  const attempt = (what: string, range: string, access: 'read' | 'readwrite'): EtcdAttempt => ({
    what: `${what} ${range}`,
    right: rightFor(options.prefix, range, access),
  });

  // Also gives the revision of the cluster, which one member alone may not have reached.
  const probe = (range: string, signal: AbortSignal | undefined): Promise<Header> =>
    connection.run(attempt('read', range, 'read'), signal, async (server) => {
      const { header } = await server.call('KV/Range', { ...rangeRequest(range), count_only: true });
      return header;
    });

  /** A refused request for several ranges does not say which of them was refused: fails for that one. */
  async function explainDenial(
    error: unknown,
    ranges: KvRanges,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const thrown = error instanceof TwillError ? error.cause : error;
    if (isDenied(parseEtcdFailure(thrown))) for (const range of rangesOf(ranges)) await probe(range, signal);
  }

  return {
    async list(ranges, signal) {
      try {
        const listing = { what: `list ${nameOf(ranges)}` };
        const { entries, header } = await listRanges(rangesOf(ranges), (request) =>
          connection.run(listing, signal, request),
        );
        clusterId = header.cluster_id;
        return { entries, revision: header.revision };
      } catch (error) {
        await explainDenial(error, ranges, signal);
        throw error;
      }
    },
    get: (key, signal) =>
      connection.run(attempt('read', key, 'read'), signal, async (server) => {
        const { kvs } = await server.call('KV/Range', { key });
        return kvs[0] === undefined ? undefined : readEntry(kvs[0]);
      }),
    openSession: (ttlSeconds, signal) =>
      connection.run({ what: 'open a lease' }, signal, async (server) => {
        const { ID } = await server.call('Lease/LeaseGrant', { TTL: ttlSeconds });
        // A key with this id would never expire.
        if (ID === '0') throw malformed();
        return ID;
      }),
    keepAlive: (session, signal) =>
      connection.run({ what: 'keep a lease alive' }, signal, async (server, limit) => {
        const { TTL } = await askToKeepAlive(server, session, clock, limit);
        return TTL > 0 ? TTL : undefined;
      }),
    closeSession: (session, signal) =>
      connection.run({ what: 'give a lease back' }, signal, async (server) => {
        await server.call('Lease/LeaseRevoke', { ID: session }).catch((error: unknown) => {
          if (!isLeaseGone(parseEtcdFailure(error))) throw error;
        });
      }),
    create: (key, value, session, signal) =>
      connection.run(attempt('create', key, 'readwrite'), signal, (server) =>
        put(server, missing(key), { key, value, session }),
      ),
    update: ({ key, revision, created, session }, value, signal) =>
      connection.run(attempt('update', key, 'readwrite'), signal, (server) =>
        put(server, unchanged(key, revision), { key, value, session }, created),
      ),
    delete: ({ key, revision }, signal) =>
      connection.run(attempt('delete', key, 'readwrite'), signal, async (server) => {
        const request = {
          compare: [unchanged(key, revision)],
          success: [{ request_delete_range: { key } }],
          failure: [{ request_range: { key } }],
        };
        return (await transact(server, request, (now) => now === undefined)) !== undefined;
      }),
    async *watch(ranges, fromRevision, signal) {
      const watching = { what: `watch ${nameOf(ranges)}` };
      const either = AbortSignal.any([signal, closed.signal]);
      if (either.aborted) return;
      const current = generation.signal;
      try {
        yield* readWatch({
          ranges: rangesOf(ranges),
          fromRevision,
          clock,
          signal: either,
          generation: current,
          clusterId,
          latest: () => probe(rangesOf(ranges)[0] ?? '', either),
          open: (listener) =>
            connection.run(watching, either, async (server) => server.stream('Watch/Watch', listener)),
        });
      } catch (error) {
        if (either.aborted) return;
        if (current.aborted) throw new Reconnecting('the connection was given up');
        if (error instanceof HistoryLost || error instanceof TwillError) throw error;
        const broken = connection.broken(error, watching);
        await explainDenial(error, ranges, either);
        throw broken;
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

function nameOf(ranges: KvRanges): string {
  return rangesOf(ranges).join(' and ');
}

/**
 * The right to a range, in the words of etcdctl. A key in a folder below the prefix comes with the whole folder, which
 * the agent reads and writes.
 */
export function rightFor(prefix: string, range: string, access: 'read' | 'readwrite'): string {
  const below = range.startsWith(`${prefix}/`) ? range.slice(prefix.length + 1) : '';
  const folder = below.includes('/') ? `${prefix}/${below.split('/')[0]}/` : undefined;
  if (folder !== undefined) return `readwrite --prefix=true ${folder}`;
  return isPrefixRange(range) ? `${access} --prefix=true ${range}` : `${access} ${range}`;
}

// Returns the revision that `request` wrote. If the answer to an earlier attempt was lost, the key may hold that
// attempt's write already: `isDone` recognises it.
async function transact(
  server: EtcdServer,
  request: Request<'KV/Txn'>,
  isDone: (now: KvEntry | undefined) => boolean,
): Promise<number | undefined> {
  const { succeeded, header, responses } = await server.call('KV/Txn', request);
  if (succeeded) return revisionOf(header);
  if (!server.again) return undefined;
  const now = responses[0]?.response_range.kvs[0];
  const entry = now === undefined ? undefined : readEntry(now);
  if (!isDone(entry)) return undefined;
  return entry?.revision ?? header.revision;
}

/**
 * Writes a key if `compare` holds and its session has not ended; undefined: one of them is not so. `created`: when the
 * key was; undefined: this creates it.
 */
async function put(
  server: EtcdServer,
  compare: Compare,
  wanted: Pick<KvEntry, 'key' | 'session'> & { readonly value: string },
  created?: number,
): Promise<KvEntry | undefined> {
  const { key, value, session } = wanted;
  const write = { key, value, ...(session === undefined ? {} : { lease: session }) };
  try {
    const revision = await transact(
      server,
      { compare: [compare], success: [{ request_put: write }], failure: [{ request_range: { key } }] },
      (now) => now !== undefined && now.value === value && now.session === session,
    );
    return revision === undefined ? undefined : { ...wanted, revision, created: created ?? revision };
  } catch (error) {
    if (isLeaseGone(parseEtcdFailure(error))) return undefined;
    throw error;
  }
}

/**
 * Asks to keep a session alive. The gRPC proxy shares one loop among the askers of a session: it may still be about to
 * stop for the last one, and then answers this one after hours. So a late answer is asked for a second time.
 */
async function askToKeepAlive(
  server: EtcdServer,
  session: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Response<'Lease/LeaseKeepAlive'>> {
  {
    using first = deadline(signal, LIMITS.keepAliveMs, 'etcd');
    const answer = await askOnce(server, session, first).catch((error: unknown) => {
      if (error !== first.reason || signal.aborted) throw error;
    });
    if (answer !== undefined) return answer;
  }
  await clock.sleep(LIMITS.keepAlivePauseMs, signal);
  return askOnce(server, session, signal);
}

// The first answer ends the stream.
function askOnce(
  server: EtcdServer,
  session: string,
  signal: AbortSignal,
): Promise<Response<'Lease/LeaseKeepAlive'>> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      stream.cancel();
      reject(signal.reason);
    };
    const stream = server.stream('Lease/LeaseKeepAlive', {
      onMessage(message) {
        signal.removeEventListener('abort', stop);
        stream.cancel();
        resolve(message);
      },
      onEnd(error) {
        signal.removeEventListener('abort', stop);
        reject(error);
      },
    });
    signal.addEventListener('abort', stop, { once: true });
    stream.send({ ID: session });
  });
}

function missing(key: string): Compare {
  return { key, target: CREATE_REVISION, result: EQUAL, create_revision: 0 };
}

function unchanged(key: string, revision: number): Compare {
  return { key, target: MOD_REVISION, result: EQUAL, mod_revision: revision };
}
