// The real kernel of this network namespace. Ownership is decided here and nowhere else: links by name and kind,
// what sits on them, and routes by protocol number.
import { TwillError } from '../base/errors.ts';
import { LIMITS } from '../limits.ts';
import { formatObject, type HostObject, type HostState, linkOf } from '../model/host-state.ts';
import type { Change, ChangeFailure, Kernel } from '../model/kernel.ts';
import { addAddress, deleteAddress, parseLinkAddress, readAddresses } from './netlink/addresses.ts';
import { addVxlan, alterLink, deleteLink, type LinkTable, readLinks } from './netlink/links.ts';
import { watchKernel } from './netlink/monitor.ts';
import { addNeighbor, deleteNeighbor, parseNeighbor, readNeighbors } from './netlink/neighbors.ts';
import { addRoute, deleteRoute, isOwnRoute, parseRoute, readRoutes } from './netlink/routes.ts';
import { inWindow, kernelError, openRouteSocket, type RtNetlinkSocket, refusalOf } from './netlink/socket.ts';

import { makePersistentTun } from './tun-device.ts';

// "Already gone" is what a deletion wants; its link may have gone with it.
const GONE: readonly string[] = ['ENOENT', 'ESRCH', 'EADDRNOTAVAIL', 'ENODEV', 'ENXIO'];

const NO_LINK = 0;

/** Opens the kernel. Fails as `host` where netlink is not to be had. */
export function openNetlinkKernel(): Kernel {
  // Dumps have a socket of their own: the package mixes up parts of a dump and answers that come between.
  const dumps = openRouteSocket();
  const requests = openRouteSocket();
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
      for (const batch of batches(changes)) {
        const areLinks = batch[0]?.object.kind === 'link';
        await inWindow(batch, areLinks ? 1 : LIMITS.netlinkWindow, signal, async (change) => {
          const error = await applyChange(requests, links, change);
          if (error !== undefined) failures.push({ change, error });
        });
        if (areLinks) links = await table();
      }
      return failures;
    },

    async *watch(signal) {
      const { nameOf } = await table();
      yield* watchKernel(nameOf, signal);
    },

    async [Symbol.asyncDispose]() {
      await reading;
      dumps.socket.close();
      requests.socket.close();
    },
  };
}

/** Runs of changes to objects of one kind: inside one, order does not matter. */
function* batches(changes: readonly Change[]): Iterable<readonly Change[]> {
  let start = 0;
  for (let i = 1; i <= changes.length; i++) {
    const [first, current] = [changes[start], changes[i]];
    const isSame =
      current?.object.kind === first?.object.kind && (current?.op === 'delete') === (first?.op === 'delete');
    if (isSame) continue;
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
  const state: HostObject[] = [...own];
  for (const message of await reader('routes', () => readRoutes(socket))) {
    const route = isOwnRoute(message) ? parseRoute(message, nameOf) : undefined;
    if (route !== undefined) state.push(route);
  }
  if (names.size === 0) return state;
  for (const message of await reader('addresses', () => readAddresses(socket))) {
    const address = parseLinkAddress(message, names);
    if (address !== undefined) state.push(address);
  }
  for (const message of await reader('neighbours', () => readNeighbors(socket))) {
    const parsed = parseNeighbor(message, names);
    if (parsed?.permanent === true) state.push(parsed.entry);
  }
  return state;
}

async function applyChange(
  socket: RtNetlinkSocket,
  links: LinkTable,
  change: Change,
): Promise<TwillError | undefined> {
  const verb = change.op === 'delete' ? 'delete' : change.op === 'add' ? 'add' : 'change';
  const what = `cannot ${verb} ${formatObject(change.object)}`;
  try {
    if (change.op === 'delete') await remove(socket, links, change.object);
    else await put(socket, links, change);
    return undefined;
  } catch (error) {
    if (error instanceof TwillError) return error;
    if (change.op === 'delete' && GONE.includes(refusalOf(error) ?? '')) return undefined;
    return kernelError(what, error);
  }
}

async function put(socket: RtNetlinkSocket, links: LinkTable, { op, object }: Change): Promise<void> {
  const index = (name: string | undefined): number => {
    if (name === undefined) return NO_LINK;
    const found = links.indexOf.get(name);
    if (found !== undefined) return found;
    throw new TwillError('host', `cannot add ${formatObject(object)}: there is no link ${name}`, {
      errno: 'ENODEV',
    });
  };
  switch (object.kind) {
    case 'link':
      if (op === 'alter') return alterLink(socket, object, links);
      if (op === 'replace') await deleteLink(socket, index(object.name));
      if (object.type === 'vxlan') return addVxlan(socket, object, index(object.underlay));
      // Netlink makes no TUN devices; it sets up what has been made.
      await makePersistentTun(object.name);
      return alterLink(socket, object, await readLinks(socket));
    case 'addr':
      return addAddress(socket, object, index(object.dev));
    case 'route':
      return addRoute(socket, object, index(object.dev));
    case 'neigh':
    case 'fdb':
      return addNeighbor(socket, object, index(object.dev));
  }
}

async function remove(socket: RtNetlinkSocket, links: LinkTable, object: HostObject): Promise<void> {
  const name = object.kind === 'link' ? object.name : linkOf(object);
  const index = name === undefined ? NO_LINK : links.indexOf.get(name);
  // What was on a link that is gone has gone with it.
  if (index === undefined) return;
  switch (object.kind) {
    case 'link':
      return deleteLink(socket, index);
    case 'addr':
      return deleteAddress(socket, object, index);
    case 'route':
      return deleteRoute(socket, object, index);
    case 'neigh':
    case 'fdb':
      return deleteNeighbor(socket, object, index);
  }
}
