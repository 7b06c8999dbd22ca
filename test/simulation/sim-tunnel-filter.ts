// The tunnel filter of one host, as its agent sees it: calls take time and fail by the weather.
import type { TunnelFilter } from '../../agent/model/tunnel-filter.ts';

/** `during` is the way to the host. */
export function openSimTunnelFilter(
  filter: TunnelFilter,
  during: <T>(work: () => Promise<T>) => Promise<T>,
): TunnelFilter {
  return {
    replace: (rules, nodes) => during(() => filter.replace(rules, nodes)),
    change: (added, removed) => during(() => filter.change(added, removed)),
    stands: () => during(() => filter.stands()),
    remove: () => during(() => filter.remove()),
    isConcerned: (change) => filter.isConcerned(change),
  };
}
