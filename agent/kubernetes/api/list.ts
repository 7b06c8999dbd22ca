// Lists all objects of a resource in pages. Without a resource version in the request the server answers with the state
// of now: a list that it has in memory may be older than one that we have seen.
import { ApiError, type Attempt, failureOf, parseAnswer, record, Unreadable } from './api-error.ts';
import type { Reader } from './client.ts';
import { createItemSplitter } from './item-splitter.ts';
import { LIMITS } from './limits.ts';
import { pathOf, type Resource } from './resource.ts';
import type { Transport } from './transport.ts';

export interface ApiList<T> {
  readonly items: readonly T[];
  /** Of all objects together: a watch goes on from here. */
  readonly resourceVersion: string;
}

interface Listing<T> {
  readonly transport: Transport;
  readonly resource: Resource;
  readonly read: Reader<T>;
}

interface Page {
  readonly resourceVersion: string;
  /** Asks for the next page; empty: this is the last one. */
  readonly next: string;
}

/** Lists all. It begins again where the server has forgotten the state of the first page. */
export async function listAll<T>(listing: Listing<T>, signal: AbortSignal): Promise<ApiList<T>> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await listOnce(listing, signal);
    } catch (error) {
      const hasExpired = error instanceof ApiError && error.kind === 'gone';
      if (!hasExpired || attempts >= LIMITS.listAttempts) throw error;
    }
  }
}

async function listOnce<T>(listing: Listing<T>, signal: AbortSignal): Promise<ApiList<T>> {
  const items: T[] = [];
  /** Also counts the objects of which nothing is kept. */
  let seen = 0;
  const attempt: Attempt = {
    verb: 'list',
    resource: listing.resource.plural,
    server: listing.transport.server,
  };
  const take = (object: unknown): void => {
    seen += 1;
    if (seen > LIMITS.listedItems) throw new Unreadable(`it has more than ${LIMITS.listedItems} objects`);
    const kept = listing.read(object, () => object);
    if (kept !== undefined) items.push(kept);
  };
  let next = '';
  for (;;) {
    const before = seen;
    const page = await readPage({ ...listing, attempt, take, next, limit: LIMITS.pageItems }, signal);
    if (page.next === '') return { items, resourceVersion: page.resourceVersion };
    // Pages without an object would never end.
    if (seen === before) throw failureOf(attempt, new Unreadable('a page that is not the last one is empty'));
    next = page.next;
  }
}

interface PageRequest {
  readonly transport: Transport;
  readonly resource: Resource;
  readonly attempt: Attempt;
  readonly take: (object: unknown) => void;
  readonly next: string;
  readonly limit: number;
}

/** The version that the store has at this moment. */
export async function readVersion(
  { transport, resource }: Pick<PageRequest, 'transport' | 'resource'>,
  signal: AbortSignal,
): Promise<string> {
  const attempt: Attempt = { verb: 'list', resource: resource.plural, server: transport.server };
  const page = await readPage(
    { transport, resource, attempt, take: () => undefined, next: '', limit: 1 },
    signal,
  );
  return page.resourceVersion;
}

async function readPage(
  { transport, resource, attempt, take, next, limit }: PageRequest,
  signal: AbortSignal,
): Promise<Page> {
  const query = new URLSearchParams({
    limit: String(limit),
    ...(next === '' ? {} : { continue: next }),
  });
  using answer = await transport.send(
    {
      attempt,
      method: 'GET',
      path: `${pathOf(resource)}?${query.toString()}`,
      headers: { 'accept-encoding': 'gzip' },
      patience: { silenceMs: LIMITS.silenceMs, wholeMs: LIMITS.answerMs },
    },
    signal,
  );
  const splitter = createItemSplitter(take);
  try {
    for await (const chunk of answer.body) splitter.push(chunk);
    return parsePage(parseAnswer(splitter.end()));
  } catch (error) {
    signal.throwIfAborted();
    throw failureOf(attempt, error);
  }
}

function parsePage(envelope: unknown): Page {
  const list = record(envelope);
  const { resourceVersion, continue: next = '' } = record(list['metadata']) as {
    readonly resourceVersion?: unknown;
    readonly continue?: unknown;
  };
  const isList = typeof list['kind'] === 'string' && list['kind'].endsWith('List');
  if (!isList || typeof resourceVersion !== 'string' || resourceVersion === '' || typeof next !== 'string')
    throw new Unreadable('the answer is not a list with a resource version');
  return { resourceVersion, next };
}
