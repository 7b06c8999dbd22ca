// Watches a resource: one request, whose answer is a line for each change. A watch that is silent is given up, because
// a connection may be dead without a word: servers send a bookmark about every minute.
import {
  type Attempt,
  failureOf,
  parseAnswer,
  readStatus,
  record,
  refusalOf,
  Unreadable,
} from './api-error.ts';
import type { Reader } from './client.ts';
import { LIMITS } from './limits.ts';
import { pathOf, type Resource } from './resource.ts';
import type { ApiAnswer, Transport } from './transport.ts';
import { parseWithoutStatus } from './without-status.ts';

/** `resourceVersion`: a later watch goes on from here. */
export type WatchEvent<T> =
  /** An object was created or changed. */
  | { readonly type: 'put'; readonly object: T; readonly resourceVersion: string }
  /** An object was deleted. `object`: as it was. */
  | { readonly type: 'gone'; readonly object: T; readonly resourceVersion: string }
  /** Nothing has changed up to here, or only objects of which nothing is kept. */
  | { readonly type: 'progress'; readonly resourceVersion: string };

interface Watching<T> {
  readonly transport: Transport;
  readonly resource: Resource;
  readonly read: Reader<T>;
  readonly resourceVersion: string;
  /** The server is asked to end the watch after this time. */
  readonly lastsMs: number;
}

/** Opens a watch. Fails as ApiError, of kind `gone` where the resource version is too old; so does its iteration. */
export async function openWatch<T>(
  watching: Watching<T>,
  signal: AbortSignal,
): Promise<AsyncIterable<WatchEvent<T>>> {
  const { transport, resource, read, resourceVersion, lastsMs } = watching;
  const attempt: Attempt = { verb: 'watch', resource: resource.plural, server: transport.server };
  const query = new URLSearchParams({
    watch: 'true',
    resourceVersion,
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(Math.round(lastsMs / 1000)),
  });
  const answer = await transport.send(
    {
      attempt,
      method: 'GET',
      path: `${pathOf(resource)}?${query.toString()}`,
      // Some servers do not end a watch when they are asked to.
      patience: { silenceMs: LIMITS.watchSilenceMs, wholeMs: lastsMs + LIMITS.silenceMs },
    },
    signal,
  );
  return eventsOf({ answer, attempt, read }, signal);
}

async function* eventsOf<T>(
  {
    answer,
    attempt,
    read,
  }: { readonly answer: ApiAnswer; readonly attempt: Attempt; readonly read: Reader<T> },
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>> {
  using _ = answer;
  try {
    for await (const line of linesOf(answer.body)) {
      const event = parseEvent(line, attempt, read);
      if (event !== undefined) yield event;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw failureOf(attempt, error);
  }
}

const NEWLINE = 0x0a;

/** The lines of a stream, without their ends. A last line without an end was cut off, and is left out. */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const part = chunk.subarray(from, end);
      from = end + 1;
      const line = rest.length === 0 ? part : Buffer.concat([...rest, part]);
      [rest, restBytes] = [[], 0];
      if (line.length > 0) yield line;
    }
    if (from === chunk.length) continue;
    rest.push(Buffer.from(chunk.subarray(from)));
    restBytes += chunk.length - from;
    if (restBytes > LIMITS.objectBytes)
      throw new Unreadable(`a line has more than ${LIMITS.objectBytes} bytes`);
  }
}

/** Undefined: an event of a kind that came after this program. */
function parseEvent<T>(line: Buffer, attempt: Attempt, read: Reader<T>): WatchEvent<T> | undefined {
  const { type, object } = record(parseWithoutStatus(line) ?? parseAnswer(line));
  if (type === 'ERROR') throw refusalOf(attempt, readStatus(object, 500));
  const { resourceVersion } = record(record(object)['metadata']);
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    throw new Unreadable('a line of the watch has no resource version');
  if (type === 'BOOKMARK') return { type: 'progress', resourceVersion };
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return undefined;
  const kept = read(object, () => record(parseAnswer(line))['object']);
  if (kept === undefined) return { type: 'progress', resourceVersion };
  return { type: type === 'DELETED' ? 'gone' : 'put', object: kept, resourceVersion };
}
