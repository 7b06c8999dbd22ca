// Tells which connections this node carries for containers. Pure.
import type { Traffic } from '../model/firewall.ts';
import type { LocalBridge } from '../model/host-checks.ts';
import type { Plane } from '../model/plane.ts';

/**
 * The traffic of a plane. `links`: those that packets of other nodes come in by; empty: no peer is known yet, and the
 * underlay will be one.
 */
export function trafficOf(
  { network, subnet, underlay }: Plane,
  links: readonly string[],
  bridges: readonly LocalBridge[],
): Traffic {
  const peerLinks = links.length === 0 ? [underlay.name] : links;
  return { network, subnet, peerLinks, underlay: underlay.name, bridges };
}
