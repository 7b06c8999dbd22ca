// A route in the main table, marked with our protocol number.
import type { EntryKind } from './kind.ts';

/** The protocol number of our routes. It tells them apart from the routes of other programs. */
export const ROUTE_PROTOCOL: number = 84;

export interface Route {
  readonly kind: 'route';
  /** `unicast` goes via a gateway, or straight to the link. `blackhole` drops the packets that no other route takes. */
  readonly type: 'unicast' | 'blackhole';
  readonly dst: string;
  /** Undefined for a blackhole, and for a route whose destinations are all on the link. */
  readonly via: string | undefined;
  /** Undefined for a blackhole. */
  readonly dev: string | undefined;
  /** The kernel takes the gateway as reachable on the link, without a check. */
  readonly onlink: boolean;
  /** Undefined: the metric of our own routes. Only a route that another program left behind has another one. */
  readonly metric?: number;
}

export const routeKind: EntryKind<Route> = {
  key: (route) => `${route.type === 'blackhole' ? 'blackhole' : 'route'} ${route.dst}${formatMetric(route)}`,
  format(route) {
    const { type, dst, via, dev, onlink } = route;
    const metric = formatMetric(route);
    if (type === 'blackhole') return `route blackhole ${dst}${metric}`;
    return `route ${dst}${via === undefined ? '' : ` via ${via}`} dev ${dev}${metric}${onlink ? ' onlink' : ''}`;
  },
};

function formatMetric({ metric }: Route): string {
  return metric === undefined ? '' : ` metric ${metric}`;
}
