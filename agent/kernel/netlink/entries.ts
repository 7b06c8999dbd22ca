// Writes entries: makes the requests for them, and tells which refusals are failures.
import { systemClock } from '../../base/clock.ts';
import { TwillError } from '../../base/errors.ts';
import { createYieldTurn } from '../../base/yield-turn.ts';
import {
  type Entry,
  formatObject,
  type HostObject,
  isOwnName,
  linkNeededBy,
} from '../../model/host-state.ts';
import type { Change, ChangeFailure } from '../../model/kernel.ts';
import { LIMITS } from '../limits.ts';
import type { BatchRequest } from './batch.ts';
import type { EntryCodec } from './codec.ts';
import { ENTRY_CODECS } from './codecs.ts';
import type { LinkTable } from './links.ts';
import { APPEND, CREATE, EXCLUSIVE, kernelError, REPLACE, refusalOf } from './socket.ts';

// A deletion succeeds where the object is gone already, perhaps with its link.
const GONE: readonly string[] = ['ENOENT', 'ESRCH', 'EADDRNOTAVAIL', 'ENODEV', 'ENXIO'];
const GONE_ROUTE: readonly string[] = ['ESRCH'];

// Of an object that needs no link.
const NO_LINK = 0;

/** Whether the link of this name is ours. */
export function isOwn(name: string, links: LinkTable): boolean {
  return links.own.some((link) => link.name === name);
}

/** Index of the link that the object needs, 0 where it needs none; undefined: that link does not exist. */
export function indexNeededBy(object: HostObject, links: LinkTable): number | undefined {
  const name = linkNeededBy(object);
  if (name === undefined) return NO_LINK;
  // A link of another program may have the name of ours. Nothing is put on it.
  return isOwnName(name) && !isOwn(name, links) ? undefined : links.indexOf.get(name);
}

/** Applies changes of entries, many at a time. */
export async function changeEntries(
  changes: readonly Change[],
  links: LinkTable,
  send: (requests: readonly BatchRequest[]) => Promise<ReadonlyMap<number, string>>,
): Promise<ChangeFailure[]> {
  const failures: ChangeFailure[] = [];
  const yieldTurn = createYieldTurn(systemClock);
  // Requests are made one batch at a time. The kernel answers before the send returns, and the package looks for the
  // next answer before another task has a turn.
  for (let start = 0; start < changes.length; start += LIMITS.netlinkBatch) {
    await yieldTurn();
    const sent: Change[] = [];
    const requests: BatchRequest[] = [];
    for (const change of changes.slice(start, start + LIMITS.netlinkBatch)) {
      const index = indexNeededBy(change.object, links);
      if (index !== undefined) {
        for (const request of requestsOf(change, index, links)) {
          sent.push(change);
          requests.push(request);
        }
      } else if (change.op !== 'delete') {
        failures.push({ change, error: noLink(change.object) });
      }
    }
    for (const [place, errno] of await send(requests)) {
      const change = sent[place];
      const failure = change && failureOf(change, Object.assign(new Error(errno), { code: errno }));
      if (failure !== undefined) failures.push(failure);
    }
  }
  return failures;
}

function requestsOf(change: Change, index: number, links: LinkTable): readonly BatchRequest[] {
  const { op, object, before } = change;
  if (object.kind === 'link' || before?.kind === 'link')
    throw new Error(`not an entry: ${formatObject(object)}`);
  if (op === 'delete') return [deletion(object, index)];
  if (object.kind !== 'route' || op === 'alter') return [addition(object, index, CREATE | REPLACE)];
  if (op === 'add') return [addition(object, index, CREATE | EXCLUSIVE)];
  // A request that replaces takes the first route with the key, whoever made it. So the new route comes behind the one
  // of ours, which goes then: packets have a route all the time.
  const old = before && indexNeededBy(before, links);
  return [
    addition(object, index, CREATE | APPEND),
    ...(before === undefined || old === undefined ? [] : [deletion(before, old)]),
  ];
}

function addition(object: Entry, index: number, flags: number): BatchRequest {
  const codec = codecOf(object);
  return { type: codec.requests.add, flags, payload: codec.encode(object, index) };
}

function deletion(object: Entry, index: number): BatchRequest {
  const codec = codecOf(object);
  return { type: codec.requests.delete, flags: 0, payload: codec.encode(object, index) };
}

function codecOf({ kind }: Entry): EntryCodec<Entry> {
  return ENTRY_CODECS[kind];
}

/** The failure that the kernel's refusal means; undefined: the result stands all the same. */
export function failureOf(change: Change, thrown: unknown): ChangeFailure | undefined {
  if (thrown instanceof TwillError) return { change, error: thrown };
  const errno = refusalOf(thrown) ?? '';
  if (change.op === 'delete' && GONE.includes(errno)) return undefined;
  // The deletion of the old route, and a new one that stands already.
  if (change.op === 'replace' && (GONE_ROUTE.includes(errno) || errno === 'EEXIST')) return undefined;
  const verb = { add: 'add', delete: 'delete', replace: 'change', alter: 'change' }[change.op];
  return { change, error: kernelError(`cannot ${verb} ${formatObject(change.object)}`, thrown) };
}

export function noLink(object: HostObject): TwillError {
  const what = `cannot add ${formatObject(object)}: there is no link ${linkNeededBy(object)}`;
  return new TwillError('host', what, { errno: 'ENODEV' });
}
