// The real kernel of this network namespace. Ownership is decided here and nowhere else: links by name and kind,
// what sits on them, and routes by protocol number.
import { systemClock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import { formatObject, type HostObject, type HostState, linkOf } from '../model/host-state.ts';
import type { Change, ChangeFailure, Kernel } from '../model/kernel.ts';
import { LIMITS } from './limits.ts';
import { encodeAddress, parseLinkAddress, readAddresses } from './netlink/addresses.ts';
import { type BatchRequest, openBatchSocket } from './netlink/batch.ts';
import { addVxlan, alterLink, deleteLink, type LinkTable, readLinks } from './netlink/links.ts';
import { type Monitor, openMonitor } from './netlink/monitor.ts';
import { encodeNeighbor, readNeighbors } from './netlink/neighbors.ts';
import { encodeRoute, isOwnRoute, parseRoute, readRoutes } from './netlink/routes.ts';
import { kernelError, openRouteSocket, type RtNetlinkSocket, refusalOf } from './netlink/socket.ts';
import { makePersistentTun } from './tun-device.ts';

// "Already gone" is what a deletion wants; its link may have gone with it.
const GONE: readonly string[] = ['ENOENT', 'ESRCH', 'EADDRNOTAVAIL', 'ENODEV', 'ENXIO'];

const NO_LINK = 0;

/** Opens the kernel. Fails as `host` where netlink is not to be had. */
export function openNetlinkKernel(): Kernel {
  // Dumps have a socket of their own: the package mixes up parts of a dump and answers that come between.
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
  const table = (): Promise<LinkTable> => exclusively(() => reader('links', () => readLinks(dumps)));

  return {
    read: () => exclusively(() => readState(dumps)),

    async apply(changes, signal) {
      const failures: ChangeFailure[] = [];
      let links = await table();
      // The echo of thousands of changes is more than a socket's buffer holds, and an overrun ends the process: the
      // package cannot report it. Nobody listens while so much is changed; one read afterwards tells all.
      using _ = changes.length > LIMITS.quietChanges ? silence(monitors) : undefined;
      for (const run of runsOf(changes)) {
        if (run[0]?.object.kind === 'link') {
          failures.push(...(await changeLinks(requests, links, run)));
          links = await table();
        } else {
          failures.push(...(await changeEntries(run, links, (batch) => batches.send(batch, signal))));
        }
        signal?.throwIfAborted();
      }
      return failures;
    },

    async *watch(signal) {
      using monitor = openMonitor((await table()).nameOf);
      monitors.add(monitor);
      try {
        yield* monitor.events(signal);
      } finally {
        monitors.delete(monitor);
      }
    },

    async [Symbol.asyncDispose]() {
      await reading;
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

/** Runs of changes to links, and of changes to anything else: links have to be there before what sits on them. */
function* runsOf(changes: readonly Change[]): Iterable<readonly Change[]> {
  let start = 0;
  for (let i = 1; i <= changes.length; i++) {
    if (
      (changes[i]?.object.kind === 'link') === (changes[start]?.object.kind === 'link') &&
      i < changes.length
    )
      continue;
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

async function readState(socket: RtNetlinkSocket): Promise<HostState> {
  const { nameOf, own } = await reader('links', () => readLinks(socket));
  const ownNames = new Set(own.map(({ name }) => name));
  const names = new Map([...nameOf].filter(([, name]) => ownNames.has(name)));
  const routes = await reader('routes', () =>
    readRoutes(socket, (message) => (isOwnRoute(message) ? parseRoute(message, nameOf) : undefined)),
  );
  if (names.size === 0) return [...own, ...routes];
  const addresses = (await reader('addresses', () => readAddresses(socket))).flatMap(
    (message) => parseLinkAddress(message, names) ?? [],
  );
  const neighbors = await reader('neighbours', () => readNeighbors(socket, names));
  return [...own, ...routes, ...addresses, ...neighbors];
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
  const index = links.indexOf.get(object.name);
  if (op === 'alter') return alterLink(socket, object, links);
  if (op !== 'add' && index !== undefined) await deleteLink(socket, index);
  if (op === 'delete') return;
  if (object.type === 'tun') {
    // Netlink makes no TUN devices; it sets up what has been made.
    await makePersistentTun(object.name);
    return alterLink(socket, object, await readLinks(socket));
  }
  const underlay = links.indexOf.get(object.underlay);
  if (underlay === undefined) throw noLink(object, object.underlay);
  return addVxlan(socket, object, underlay);
}

async function changeEntries(
  changes: readonly Change[],
  links: LinkTable,
  send: (requests: readonly BatchRequest[]) => Promise<ReadonlyMap<number, string>>,
): Promise<ChangeFailure[]> {
  const failures: ChangeFailure[] = [];
  const yieldTurn = createYieldTurn(systemClock);
  // No more is made at a time than is sent at a time. The kernel has answered before the send returns, and the package
  // looks for the next answer before anybody else has a turn.
  for (let start = 0; start < changes.length; start += LIMITS.netlinkBatch) {
    await yieldTurn();
    const sent: Change[] = [];
    const requests: BatchRequest[] = [];
    for (const change of changes.slice(start, start + LIMITS.netlinkBatch)) {
      const name = linkOf(change.object);
      const index = name === undefined ? NO_LINK : links.indexOf.get(name);
      if (index !== undefined) {
        sent.push(change);
        requests.push(encode(change, index));
      } else if (change.op !== 'delete') {
        failures.push({ change, error: noLink(change.object, name ?? '') });
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

function encode({ op, object }: Change, index: number): BatchRequest {
  const isDelete = op === 'delete';
  switch (object.kind) {
    case 'addr':
      return encodeAddress(object, index, isDelete);
    case 'route':
      return encodeRoute(object, index, isDelete);
    case 'neigh':
    case 'fdb':
      return encodeNeighbor(object, index, isDelete);
    case 'link':
      throw new Error(`not an entry: ${formatObject(object)}`);
  }
}

/** What the kernel's refusal means; undefined: the change has what it wanted. */
function failureOf(change: Change, thrown: unknown): ChangeFailure | undefined {
  if (thrown instanceof TwillError) return { change, error: thrown };
  if (change.op === 'delete' && GONE.includes(refusalOf(thrown) ?? '')) return undefined;
  const verb = { add: 'add', delete: 'delete', replace: 'change', alter: 'change' }[change.op];
  return { change, error: kernelError(`cannot ${verb} ${formatObject(change.object)}`, thrown) };
}

function noLink(object: HostObject, name: string): TwillError {
  return new TwillError('host', `cannot add ${formatObject(object)}: there is no link ${name}`, {
    errno: 'ENODEV',
  });
}
