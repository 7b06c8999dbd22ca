// One watch of some ranges of an etcd, which is one stream with an etcd watch for each range.
import { createChannel } from '../base/channel.ts';
import type { Clock } from '../base/clock.ts';
import { HistoryLost, type KvEvent } from '../model/kv.ts';
import type { EtcdListener, EtcdStream } from './etcd-endpoint.ts';
import { rangeRequest, readEntry, readKey } from './etcd-entry.ts';
import { DELETE, type Header, type Response } from './etcd-messages.ts';
import { AnswerTooLarge } from './grpc-frames.ts';
import { LIMITS } from './limits.ts';

/** The server cancelled a watch. Its reason is parsed like the details of a failed call. */
class WatchRefused extends Error {
  readonly code = FAILED_PRECONDITION;
}

// gRPC's status code for a request that the server's state does not allow.
const FAILED_PRECONDITION = 9;

/** The header of an answer that the grpc-proxy made up itself: it knows no cluster, and its revision is our own. */
const NO_CLUSTER = '0';

export interface EtcdWatch {
  readonly ranges: readonly string[];
  readonly fromRevision: number;
  readonly clock: Clock;
  /** Ends the watch quietly. */
  readonly signal: AbortSignal;
  /** Of the listed cluster; undefined: there was no listing. */
  readonly clusterId: string | undefined;
  /** Reads the cluster and its revision, past caches and members that lag behind. */
  readonly latest: () => Promise<Header>;
  readonly open: (listener: EtcdListener<'Watch/Watch'>) => Promise<EtcdStream<'Watch/Watch'>>;
  /** Aborted when the connections of this generation are given up. */
  readonly generation: AbortSignal;
}

/**
 * Batches of one watch, until its stream breaks or the signal is aborted. etcd accepts a watch from a future revision
 * and is silent until it gets there. We treat that as lost history.
 */
export async function* readWatch(watch: EtcdWatch): AsyncGenerator<readonly KvEvent[]> {
  const seen = watch.fromRevision - 1;
  const batches = createChannel<readonly KvEvent[]>(
    `watch of ${watch.ranges.join(', ')}`,
    LIMITS.storeEvents,
  );
  // Aborted when the watch is established: it ends the time limit for that.
  const established = new AbortController();
  let begin = (): void => undefined;
  let refuse: (error: Error) => void = () => undefined;
  const begun = new Promise<void>((resolve, reject) => {
    begin = resolve;
    refuse = reject;
  });
  begun.catch(() => undefined);
  const fail = (error: Error): void => {
    batches.fail(error);
    refuse(error);
  };
  const stop = (): void => {
    batches.close();
    begin();
  };
  const leave = (): void => fail(new Error('the connection was given up'));

  /** The revision up to which each etcd watch has delivered everything, by its id. */
  const delivered = new Map<string, number>();
  let told = seen;
  let isDoubtful = false;
  const create = ({ watch_id, header }: Response<'Watch/Watch'>): void => {
    if (delivered.size === watch.ranges.length) return;
    delivered.set(watch_id, seen);
    const problem = lossOf(watch, header);
    // One member may lag behind, but another cluster is another cluster.
    if (problem !== undefined && isOther(watch, header)) return fail(problem);
    isDoubtful ||= problem !== undefined || header.cluster_id === NO_CLUSTER;
    if (delivered.size < watch.ranges.length) return;
    established.abort();
    if (!isDoubtful) return begin();
    watch.latest().then((now) => {
      const loss = lossOf(watch, now);
      if (loss === undefined) begin();
      else fail(loss);
    }, fail);
  };
  const progress = ({ watch_id, header }: Response<'Watch/Watch'>): void => {
    if (!delivered.has(watch_id)) return;
    delivered.set(watch_id, Math.max(delivered.get(watch_id) ?? seen, header.revision));
    const everywhere = Math.min(...delivered.values());
    if (everywhere <= told) return;
    told = everywhere;
    batches.push([{ type: 'progress', revision: everywhere }]);
  };
  const onMessage = (message: Response<'Watch/Watch'>): void => {
    if (message.canceled) {
      const why = message.cancel_reason === '' ? 'the server ended the watch' : message.cancel_reason;
      fail(message.compact_revision > 0 ? new HistoryLost(why) : new WatchRefused(why));
    } else if (message.created) create(message);
    else if (message.events.length > 0) batches.push(message.events.map(readEvent));
    else progress(message);
  };
  const onEnd = (error: Error): void => {
    // The same changes would come again. A listing is read in pages.
    fail(error instanceof AnswerTooLarge ? new HistoryLost(error.message) : error);
  };
  const stream = await watch.open({ onMessage, onEnd });
  watch.signal.addEventListener('abort', stop, { once: true });
  watch.generation.addEventListener('abort', leave, { once: true });
  try {
    if (watch.signal.aborted) return;
    if (watch.generation.aborted) leave();
    void watch.clock.sleep(LIMITS.datastoreRequestMs, established.signal).then(
      () => fail(new Error(`no answer within ${LIMITS.datastoreRequestMs} ms`)),
      () => undefined,
    );
    for (const range of watch.ranges) {
      const request = { ...rangeRequest(range), start_revision: watch.fromRevision, progress_notify: true };
      stream.send({ create_request: request });
    }
    await begun;
    // Not the header's revision: its events may still be on their way.
    yield [{ type: 'progress', revision: seen }];
    yield* batches;
  } finally {
    established.abort();
    watch.signal.removeEventListener('abort', stop);
    watch.generation.removeEventListener('abort', leave);
    stream.cancel();
  }
}

function isOther({ clusterId }: EtcdWatch, { cluster_id }: Header): boolean {
  return clusterId !== undefined && ![clusterId, NO_CLUSTER].includes(cluster_id);
}

/** Why the history that a header belongs to is not the one to go on with; undefined: it may be. */
function lossOf(watch: EtcdWatch, header: Header): HistoryLost | undefined {
  if (isOther(watch, header)) return new HistoryLost('another etcd cluster answers');
  if (header.revision < watch.fromRevision - 1)
    return new HistoryLost(`etcd is at revision ${header.revision}`);
  return undefined;
}

function readEvent({ type, kv }: Response<'Watch/Watch'>['events'][number]): KvEvent {
  if (type === DELETE) return { type: 'delete', key: readKey(kv.key), revision: kv.mod_revision };
  return { type: 'put', entry: readEntry(kv) };
}
