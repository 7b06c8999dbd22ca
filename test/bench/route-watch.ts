// Records when routes appear on the hosts of a lab. One `ip monitor` in the router's namespace receives the kernel's
// events of all hosts, because the kernel numbers the namespaces at the other ends of the router's links. It stamps
// each event and writes it into a file, so that no other process wakes up while agents are measured.
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/process.ts';
import type { LeaseRound } from './lease-puts.ts';

/** When a route appeared, in milliseconds of the wall clock, by namespace and by destination. */
export type RouteTimes = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Starts the watch, which ends with the lab. `parseRouteTimes` parses its log. */
export function startRouteWatch(lab: Lab): LabProcess {
  return lab.start('routes', ['env', 'TZ=UTC', 'ip', '-tshort', 'monitor', 'route', 'all-nsid']);
}

/** Parses the output of the watch. A route that appeared several times counts at its first time. */
export function parseRouteTimes(log: string): RouteTimes {
  const times = new Map<string, Map<string, number>>();
  for (const [, second = '', fraction, nsid = '', subnet = ''] of log.matchAll(
    /^\[(\S{19})(\.\d+)\] \[nsid (\d+)\]([\d.]+\/\d+) via /gm,
  )) {
    const ofSubnet = times.get(subnet) ?? new Map<string, number>();
    times.set(subnet, ofSubnet);
    if (!ofSubnet.has(nsid)) ofSubnet.set(nsid, Date.parse(`${second}Z`) + Number(fraction) * 1_000);
  }
  return times;
}

/**
 * Milliseconds from the first put of a round until the last of `hosts` had the last of its routes; undefined: a route
 * is missing.
 */
export function roundMs(
  times: RouteTimes,
  { subnets, sentMs }: LeaseRound,
  hosts: number,
): number | undefined {
  const found = subnets.map((subnet) => [...(times.get(subnet)?.values() ?? [])]);
  return found.every(({ length }) => length === hosts) ? Math.max(...found.flat()) - sentMs : undefined;
}
