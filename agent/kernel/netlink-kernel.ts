// The real kernel of this network namespace. It reads and changes the objects that are ours: links by their type and
// name, the entries on them, and routes by their protocol number. It never takes the place of another program's object.
import { TwillError } from '../base/errors.ts';
import {
  type Entry,
  formatObject,
  type HostObject,
  type HostState,
  isOwnName,
  linkNeededBy,
} from '../model/host-state.ts';
import type { Change, ChangeFailure, Kernel } from '../model/kernel.ts';
import { LIMITS } from './limits.ts';
import { type BatchRequest, openBatchSocket } from './netlink/batch.ts';
import type { EntryCodec, NameOf } from './netlink/codec.ts';
import { ENTRY_CODECS } from './netlink/codecs.ts';
import { changeEntries, failureOf, indexNeededBy, isOwn, noLink } from './netlink/entries.ts';
import {
  alterLink,
  deleteLink,
  type LinkTable,
  makeLink,
  readLinks,
  readLinkType,
  readNameOf,
} from './netlink/links.ts';
import { type LinkListener, type Monitor, openMonitor } from './netlink/monitor.ts';
import { listStrictly } from './netlink/overrun.ts';
import { dump, kernelError, openRouteSocket, type RtNetlinkSocket } from './netlink/socket.ts';
import { explainTaken, isTaken } from './netlink/taken-routes.ts';

const NO_LINK = 0;

/** Opens the kernel. Fails as `host` where the system offers no netlink. */
export function openNetlinkKernel(): Kernel {
  // Dumps have a socket of their own: the package mixes the parts of a dump with answers that arrive between them.
  const dumps = openRouteSocket();
  const requests = openRouteSocket();
  const batches = openBatchSocket();
  const monitors = new Set<Monitor>();
  let reading: Promise<unknown> = Promise.resolve();
  const exclusively = <T>(read: () => Promise<T>): Promise<T> => {
    const result = reading.then(read, read);
    reading = result.catch(() => undefined);
    return result;
  };
  // The kernel then lists only the entries that are asked for.
  const isStrict = listStrictly(dumps).catch(() => undefined);
  // The links as read last; undefined: one of them has changed since, or no monitor has listened all the time.
  let lastLinks: LinkTable | undefined;
  let linkChanges = 0;
  const onLink: LinkListener = (index, name) => {
    if (index !== undefined && lastLinks !== undefined && !isIn(lastLinks, index, name)) return;
    linkChanges++;
    lastLinks = undefined;
  };
  const readTable = async (needed: Iterable<string>): Promise<LinkTable> => {
    await isStrict;
    const before = linkChanges;
    const links = await reader('links', () => readLinks(dumps, needed));
    for (const monitor of monitors) monitor.learn(links);
    if (linkChanges === before && monitors.size > 0) lastLinks = links;
    return links;
  };
  const table = (needed: readonly string[]): Promise<LinkTable> => exclusively(() => readTable(needed));

  const applyEntries = async (
    changes: readonly Change[],
    links: LinkTable,
    signal: AbortSignal | undefined,
  ): Promise<readonly ChangeFailure[]> => {
    const send = (batch: readonly BatchRequest[]) => batches.send(batch, signal);
    const refused = await changeEntries(changes, links, send);
    const taken = refused.filter(isTaken);
    if (taken.length === 0) return refused;
    const explained = await exclusively(() =>
      reader('routes', () => explainTaken(dumps, taken, links.names.all)),
    );
    const others = refused.filter((failure) => !isTaken(failure));
    return [...others, ...explained.failures, ...(await changeEntries(explained.again, links, send))];
  };

  return {
    read: () =>
      exclusively(async () => {
        const links = await readTable(lastLinks?.asked ?? []);
        const { state, all } = await readState(dumps, links);
        for (const monitor of monitors) monitor.learn({ ...links, names: { ...links.names, all } });
        return state;
      }),

    async apply(changes, signal) {
      const failures: ChangeFailure[] = [];
      const needed = changes.flatMap(({ object }) => namesNeededBy(object));
      const isCovered = needed.every((name) => lastLinks?.asked.has(name));
      let links = isCovered && lastLinks !== undefined ? lastLinks : await table(needed);
      // The echo of thousands of changes overruns a socket's buffer, and an overrun ends the process: the package
      // cannot report it. So the monitors pause during so many changes, and one read afterwards finds everything.
      using _ = changes.length > LIMITS.quietChanges ? silence(monitors) : undefined;
      for (const run of runsOf(changes)) {
        if (run[0]?.object.kind === 'link') {
          failures.push(...(await changeLinks(requests, links, run)));
          links = await table(needed);
        } else {
          failures.push(...(await applyEntries(run, links, signal)));
        }
        signal?.throwIfAborted();
      }
      return failures;
    },

    async *watch(signal) {
      using monitor = openMonitor(onLink);
      monitors.add(monitor);
      try {
        // The monitor listens already, so that it misses no link that is made while the table is read.
        await table([]);
        yield* monitor.events(signal);
      } finally {
        monitors.delete(monitor);
        onLink(undefined, undefined);
      }
    },

    async [Symbol.asyncDispose]() {
      await Promise.all([reading, isStrict]);
      dumps.socket.close();
      requests.socket.close();
      batches[Symbol.dispose]();
    },
  };
}

function silence(monitors: Iterable<Monitor>): Disposable {
  const paused = [...monitors];
  for (const monitor of paused) monitor.pause();
  return { [Symbol.dispose]: () => paused.forEach((monitor) => monitor.resume()) };
}

/** Splits changes into runs of links and runs of entries: a link must exist before the entries on it. */
function* runsOf(changes: readonly Change[]): Iterable<readonly Change[]> {
  const isLink = (place: number): boolean => changes[place]?.object.kind === 'link';
  let start = 0;
  for (let i = 1; i <= changes.length; i++) {
    if (i < changes.length && isLink(i) === isLink(start)) continue;
    yield changes.slice(start, i);
    start = i;
  }
}

async function reader<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw kernelError(`cannot read ${what}`, error);
  }
}

/** Reads our objects, and gives the names of all links that they need. */
async function readState(
  socket: RtNetlinkSocket,
  { own, names }: LinkTable,
): Promise<{ readonly state: HostState; readonly all: NameOf }> {
  const state: HostObject[] = [...own];
  const all = new Map(names.all);
  for (const codec of Object.values<EntryCodec<Entry>>(ENTRY_CODECS)) {
    const indexes = codec.links === 'all' ? [NO_LINK] : names.own.keys();
    for (const index of indexes) {
      const entries = await reader(codec.plural, () =>
        readEntries(socket, codec, index, { own: names.own, all }),
      );
      for (const entry of entries) state.push(entry);
    }
  }
  return { state, all };
}

/**
 * Reads our entries of a kind on one link, or on all links where `index` is `NO_LINK`. Adds the names of links to
 * `names.all`: another program may have put a route of ours on a link that we do not know.
 */
async function readEntries(
  socket: RtNetlinkSocket,
  codec: EntryCodec<Entry>,
  index: number,
  names: { readonly own: NameOf; readonly all: Map<number, string> },
): Promise<readonly Entry[]> {
  const here = index === NO_LINK ? names.own : new Map([[index, names.own.get(index) ?? '']]);
  const messages = await dump(socket, codec.requests.list, codec.list(index), {
    mayMatter: (data) => codec.mayBeOurs(data, here),
    read: (message) => (codec.isOurs(message) ? message : undefined),
  });
  if (index !== NO_LINK) return messages.flatMap((message) => codec.parse(message, here) ?? []);
  const { all } = names;
  for (const message of messages) {
    const link = message.kind === 'route' ? message.attrs.oif : undefined;
    if (link !== undefined && !all.has(link)) all.set(link, (await readNameOf(socket, link)) ?? '');
  }
  return messages.flatMap((message) => codec.parse(message, all) ?? []);
}

/** Whether the table tells of the link. A link that a table lacks may have come under a name of ours. */
function isIn(links: LinkTable, index: number, name: string | undefined): boolean {
  return links.names.all.has(index) || name === undefined || isOwnName(name) || links.asked.has(name);
}

function namesNeededBy(object: HostObject): readonly string[] {
  const needed = linkNeededBy(object);
  const names = needed === undefined ? [] : [needed];
  return object.kind === 'link' ? [...names, object.name] : names;
}

async function changeLinks(
  socket: RtNetlinkSocket,
  links: LinkTable,
  changes: readonly Change[],
): Promise<ChangeFailure[]> {
  const failures: ChangeFailure[] = [];
  for (const change of changes) {
    try {
      await changeLink(socket, links, change);
    } catch (error) {
      const failure = failureOf(change, error);
      if (failure !== undefined) failures.push(failure);
    }
  }
  return failures;
}

async function changeLink(socket: RtNetlinkSocket, links: LinkTable, { op, object }: Change): Promise<void> {
  if (object.kind !== 'link') return;
  const { name } = object;
  const index = links.indexOf.get(name);
  if (index !== undefined && !isOwn(name, links)) {
    if (op === 'delete') return;
    const type = (await readLinkType(socket, name)) ?? 'without a type';
    const what = `cannot add ${formatObject(object)}: ${name} is a link of another program`;
    throw new TwillError('host', `${what}: type ${type} (EEXIST)`, { errno: 'EEXIST' });
  }
  if (op === 'alter') return alterLink(socket, object, links);
  if (op !== 'add' && index !== undefined) await deleteLink(socket, index);
  if (op === 'delete') return;
  const underlay = indexNeededBy(object, links);
  if (underlay === undefined) throw noLink(object);
  return makeLink(socket, object, underlay);
}
