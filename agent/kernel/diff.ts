// The steps from one host state to another. Pure: the reconciler decides when, the kernel how.
import {
  creationOrder,
  formatObject,
  type HostObject,
  type HostState,
  keyOf,
  type Link,
  linkOf,
  type VxlanLink,
} from '../model/host-state.ts';
import type { Change } from '../model/kernel.ts';

/**
 * Changes that make `actual` equal to `desired`, in an order in which the kernel takes them: what must go first
 * (routes before the links they use), then links and their addresses, then what needs those.
 *
 * `actual` may hold several objects of one key, as the kernel may; all but the desired one are deleted.
 */
export function diff(desired: HostState, actual: HostState): Change[] {
  const links = linkChanges(desired, actual);
  if (links.length > 0) return allChanges(links, desired, actual);
  // Where all links stay, what is one object in both needs no look: a change of one peer costs its own entries only.
  const [before, after] = [new Set(actual), new Set(desired)];
  return allChanges(
    links,
    desired.filter((object) => !before.has(object)),
    actual.filter((object) => !after.has(object)),
  );
}

function allChanges(links: readonly Change[], desired: HostState, actual: HostState): Change[] {
  const wanted = new Map(desired.map((object) => [keyOf(object), object]));
  // Everything on a link that goes, goes with it: there is nothing to delete, and all of it to add again.
  const lostLinks = new Set(
    links.flatMap(({ op, object }) =>
      (op === 'delete' || op === 'replace') && object.kind === 'link' ? [object.name] : [],
    ),
  );
  const readdressed = new Set(readdressedLinks(wanted, actual));
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
    // One object of a wanted key is replaced in place, so that there is no moment without it.
    const replaced = want === undefined || kept !== undefined ? undefined : objects[0];
    if (want !== undefined && replaced !== undefined) adds.push({ op: 'replace', object: want });
    for (const object of objects) {
      if (object !== kept && object !== replaced) deletes.push({ op: 'delete', object });
    }
  }
  for (const [key, object] of wanted) {
    if (object.kind !== 'link' && !present.has(key)) adds.push({ op: 'add', object });
  }
  // With its last address a link loses all of its routes, and nobody is told: the new address comes first. No route
  // leads to an address that is still our own: the old one goes next.
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

// Linux forgets a link's neighbours, permanent ones too, when the link's own MAC changes.
function readdressedLinks(wanted: ReadonlyMap<string, HostObject>, actual: HostState): string[] {
  return actual.flatMap((before) => {
    if (!isVxlan(before)) return [];
    const after = wanted.get(keyOf(before));
    return isVxlan(after) && before.mac !== after.mac ? [before.name] : [];
  });
}

// A live link can change its MTU, its MAC and whether it is up; all else is fixed when it is made.
function canAlter(before: Link, after: Link): boolean {
  const { mtuBytes, up } = after;
  const mac = isVxlan(before) && isVxlan(after) ? { mac: after.mac } : {};
  return formatObject({ ...before, ...mac, mtuBytes, up }) === formatObject(after);
}

function isVxlan(object: HostObject | undefined): object is VxlanLink {
  return object?.kind === 'link' && object.type === 'vxlan';
}

/** One change as a line: `+` what is added, `-` what is deleted, `~` what is changed. */
export function formatChange(change: Change): string {
  const sign = { add: '+', delete: '-', replace: '~', alter: '~' }[change.op];
  return `${sign} ${formatObject(change.object)}`;
}
