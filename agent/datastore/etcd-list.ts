// Lists ranges of an etcd page by page, all at the revision of the first page, so that no store is too large for one
// answer. An answer that is too large is asked for again with fewer keys.
import { TwillError } from '../base/errors.ts';
import type { KvEntry } from '../model/kv.ts';
import type { EtcdServer } from './etcd-connection.ts';
import { rangeRequest, readEntry, revisionOf } from './etcd-entry.ts';
import { isCompacted, parseEtcdFailure } from './etcd-errors.ts';
import type { Header, Response } from './etcd-messages.ts';
import { AnswerTooLarge } from './grpc-frames.ts';
import { LIMITS } from './limits.ts';

/** Runs one request, with a time limit of its own. */
export type Ask = <T>(request: (server: EtcdServer) => Promise<T>) => Promise<T>;

export interface EtcdListing {
  readonly entries: readonly KvEntry[];
  readonly header: Header;
}

/** The entries of `ranges`. One request does where they have few keys. Fails as `datastore`, and like `ask`. */
export async function listRanges(ranges: readonly string[], ask: Ask): Promise<EtcdListing> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listOnce(ranges, ask);
    } catch (error) {
      // The history may be compacted between two pages.
      const thrown = error instanceof TwillError ? error.cause : error;
      if (!isCompacted(parseEtcdFailure(thrown)) || attempt === LIMITS.listAttempts) throw error;
    }
  }
}

interface Page {
  readonly entries: readonly KvEntry[];
  /** The first key of the next page; undefined: there is none. */
  readonly next: Buffer | undefined;
}

async function listOnce(ranges: readonly string[], ask: Ask): Promise<EtcdListing> {
  const budget = createBudget(ranges);
  const fit = createFitting();
  const { header, pages } = await fit((limit) =>
    ask((server) => {
      const success = ranges.map((range) => ({ request_range: { ...rangeRequest(range), limit } }));
      return orTooLarge(limit, server.call('KV/Txn', { success }), (answer) => {
        revisionOf(answer.header);
        return {
          header: answer.header,
          pages: answer.responses.map((each) => readPage(each.response_range)),
        };
      });
    }),
  );
  const { revision } = header;
  for (const [index, range] of ranges.entries()) {
    let page = pages[index];
    while (page !== undefined) {
      budget.take(page.entries);
      const key = page.next;
      if (key === undefined) break;
      const rest = { ...rangeRequest(range), key, revision };
      page = await fit((limit) =>
        ask((server) => orTooLarge(limit, server.call('KV/Range', { ...rest, limit }), readPage)),
      );
    }
  }
  return { entries: budget.entries, header };
}

function readPage({ kvs, more }: Response<'KV/Range'>): Page {
  const last = kvs.at(-1);
  // The next key in order is the last one with a byte 0 behind it.
  const next = more && last !== undefined ? Buffer.concat([last.key, Buffer.of(0)]) : undefined;
  return { entries: kvs.map(readEntry), next };
}

/** Runs requests with a number of keys whose answer is not too large. */
function createFitting() {
  let limit: number = LIMITS.pageKeys;
  return async <T>(request: (limit: number) => Promise<T | undefined>): Promise<T> => {
    for (;;) {
      const answer = await request(limit);
      if (answer !== undefined) {
        limit = Math.min(limit * 2, LIMITS.pageKeys);
        return answer;
      }
      limit = Math.max(1, Math.floor(limit / LIMITS.pageShrink));
    }
  };
}

/** What `read` makes of the answer; undefined: it is too large, and has more than one key. */
function orTooLarge<A, T>(limit: number, answer: Promise<A>, read: (answer: A) => T): Promise<T | undefined> {
  return answer.then(read, (error: unknown) => {
    if (error instanceof AnswerTooLarge && limit > 1) return undefined;
    throw error;
  });
}

/** Collects entries until they are more than any network has. */
function createBudget(ranges: readonly string[]) {
  const entries: KvEntry[] = [];
  let chars = 0;
  return {
    entries,
    take(page: readonly KvEntry[]): void {
      for (const entry of page) {
        entries.push(entry);
        chars += entry.key.length + (entry.value?.length ?? 0);
      }
      const found =
        entries.length > LIMITS.listedKeys
          ? `more than ${LIMITS.listedKeys} keys`
          : `more than ${LIMITS.listedChars} characters`;
      if (entries.length <= LIMITS.listedKeys && chars <= LIMITS.listedChars) return;
      const where = ranges.at(-1) ?? '';
      throw new TwillError('datastore', `${where} holds ${found}: too much for the leases of a network`, {
        hint: `delete what is no lease: etcdctl get --prefix --keys-only ${where} shows the keys`,
      });
    },
  };
}
