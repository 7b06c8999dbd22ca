// Finds out who has the key of a route that the kernel refused as existing.
import { TwillError } from '../../base/errors.ts';
import { formatObject, type HostObject, keyOf } from '../../model/host-state.ts';
import type { Change, ChangeFailure } from '../../model/kernel.ts';
import type { NameOf } from './codec.ts';
import type { RtNetlinkSocket } from './library.ts';
import { readNameOf } from './links.ts';
import { describeRoute, parseRoute, readRoutesTo, routeCodec, routeKey } from './routes.ts';

export interface TakenRoutes {
  /** Refusals that name the route of another program. */
  readonly failures: readonly ChangeFailure[];
  /** Changes that replace a route of ours which nobody knew of, or one that flannel left behind. */
  readonly again: readonly Change[];
}

/** Whether the kernel refused a route because its key has one already. */
export function isTaken({ change, error }: ChangeFailure): boolean {
  return change.object.kind === 'route' && error.errno === 'EEXIST';
}

/** Reads the routes once, and explains these failures. A route that stands already is no failure. */
export async function explainTaken(
  socket: RtNetlinkSocket,
  taken: readonly ChangeFailure[],
  names: NameOf,
): Promise<TakenRoutes> {
  const left = new Map(taken.map((failure) => [keyOf(failure.change.object), failure]));
  const refused = new Set(taken);
  const again: Change[] = [];
  const prefixes = new Set(taken.flatMap(({ change }) => prefixOf(change.object)));
  const nameOf = new Map(names);
  for (const message of await readRoutesTo(socket, prefixes)) {
    const link = message.attrs.oif;
    if (link !== undefined && !nameOf.has(link)) nameOf.set(link, (await readNameOf(socket, link)) ?? '');
    const key = routeKey(message) ?? '';
    const failure = left.get(key);
    if (failure === undefined) continue;
    const { change } = failure;
    const { object } = change;
    const before = parseRoute(message, nameOf);
    const isEqual = before !== undefined && formatObject(before) === formatObject(object);
    if (routeCodec.isOurs(message)) {
      if (before === undefined) continue;
      left.delete(key);
      if (!isEqual) again.push({ op: 'replace', object, before });
    } else if (isEqual && message.data.protocol === 'BOOT' && refused.has(failure)) {
      // A flannel that ran here left it. It moves the same packets, and gets our mark. The kernel changes the first
      // route with the key only.
      left.delete(key);
      again.push({ op: 'alter', object });
    } else {
      const dst = key.slice(key.indexOf(' ') + 1);
      const holder = `${dst} is a route of another program: ${describeRoute(message, nameOf)}`;
      const what = `cannot add ${formatObject(object)}: ${holder} (EEXIST)`;
      left.set(key, { change, error: new TwillError('host', what, { errno: 'EEXIST' }) });
    }
  }
  return { failures: [...left.values()], again };
}

function prefixOf(object: HostObject): readonly string[] {
  return object.kind === 'route' ? [object.dst] : [];
}
