// Computes the changes from one host state to another. Pure: the reconciler decides when to apply them, the kernel how.
import {
  canAlter,
  creationOrder,
  formatObject,
  type HostObject,
  type HostState,
  keyOf,
  type Link,
  linkOf,
  macOf,
} from '../model/host-state.ts';
import type { Change } from '../model/kernel.ts';

/**
 * Gives the changes that make `actual` equal to `desired`, in an order that the kernel accepts: deletions (routes
 * before the links that they use), then links and their addresses, then the entries that need those.
 *
 * `actual` may hold several objects of one key, as the kernel may; all but the desired one are deleted.
 */
export function diff(desired: HostState, actual: HostState): Change[] {
  const links = linkChanges(desired, actual);
  if (links.length > 0) return allChanges(links, desired, actual);
  // While all links stay, an object that is in both states needs no look: a change of one peer costs its own entries.
  const [before, after] = [new Set(actual), new Set(desired)];
  return allChanges(
    links,
    desired.filter((object) => !before.has(object)),
    actual.filter((object) => !after.has(object)),
  );
}

function allChanges(links: readonly Change[], desired: HostState, actual: HostState): Change[] {
  const wanted = new Map(desired.map((object) => [keyOf(object), object]));
  // A deleted link takes its entries along: none of them is deleted, and all that are wanted are added again.
  const lostLinks = new Set(
    links.flatMap(({ op, object }) =>
      (op === 'delete' || op === 'replace') && object.kind === 'link' ? [object.name] : [],
    ),
  );
  const readdressed = readdressedLinks(wanted, actual);
  const isLost = (object: HostObject): boolean => {
    const link = linkOf(object) ?? '';
    return lostLinks.has(link) || (object.kind === 'neigh' && readdressed.has(link));
  };
  const present = new Map<string, HostObject[]>();
  for (const object of actual) {
    if (object.kind === 'link' || isLost(object)) continue;
    const key = keyOf(object);
    const same = present.get(key);
    if (same === undefined) present.set(key, [object]);
    else same.push(object);
  }

  const deletes: Change[] = [];
  const adds: Change[] = [];
  for (const [key, objects] of present) {
    const want = wanted.get(key);
    const line = want === undefined ? undefined : formatObject(want);
    const kept = objects.find((object) => formatObject(object) === line);
    // One object of a wanted key is replaced in place, so that traffic is never without it.
    const replaced = want === undefined || kept !== undefined ? undefined : objects[0];
    if (want !== undefined && replaced !== undefined)
      adds.push({ op: 'replace', object: want, before: replaced });
    for (const object of objects) {
      if (object !== kept && object !== replaced) deletes.push({ op: 'delete', object });
    }
  }
  for (const [key, object] of wanted) {
    if (object.kind !== 'link' && !present.has(key)) adds.push({ op: 'add', object });
  }
  // A link that loses its last address loses all of its routes, and Linux reports none of them: the new address comes
  // first. Linux refuses a route to an address that is still our own: the old address goes next.
  const isAddress = ({ object }: Change): boolean => object.kind === 'addr';
  const isOther = (change: Change): boolean => !isAddress(change);
  adds.sort((a, b) => creationOrder(a.object, b.object));
  return [
    ...deletes.filter(isOther).sort((a, b) => creationOrder(b.object, a.object)),
    ...links,
    ...adds.filter(isAddress),
    ...deletes.filter(isAddress),
    ...adds.filter(isOther),
  ];
}

function linkChanges(desired: HostState, actual: HostState): Change[] {
  const [wanted, present] = [linksOf(desired), linksOf(actual)];
  const changes: Change[] = [];
  for (const [key, link] of present) {
    if (!wanted.has(key)) changes.push({ op: 'delete', object: link });
  }
  for (const [key, object] of wanted) {
    const before = present.get(key);
    if (before === undefined) changes.push({ op: 'add', object });
    else if (formatObject(before) !== formatObject(object)) {
      changes.push({ op: canAlter(before, object) ? 'alter' : 'replace', object });
    }
  }
  return changes;
}

function linksOf(state: HostState): Map<string, Link> {
  return new Map(state.filter((object) => object.kind === 'link').map((link) => [keyOf(link), link]));
}

// Linux forgets all neighbours of a link, permanent ones too, when the link's own MAC changes.
function readdressedLinks(wanted: ReadonlyMap<string, HostObject>, actual: HostState): ReadonlySet<string> {
  const names = new Set<string>();
  for (const before of actual) {
    if (before.kind !== 'link') continue;
    const after = wanted.get(keyOf(before));
    if (after?.kind === 'link' && macOf(before) !== macOf(after)) names.add(before.name);
  }
  return names;
}

/** The change as a line that begins with `+` (added), `-` (deleted) or `~` (replaced or altered). */
export function formatChange(change: Change): string {
  const sign = { add: '+', delete: '-', replace: '~', alter: '~' }[change.op];
  return `${sign} ${formatObject(change.object)}`;
}
