// Tells which connections this node carries for containers. Pure.
import type { Backend } from '../model/backend.ts';
import type { Traffic } from '../model/firewall.ts';
import type { LocalBridge } from '../model/host-checks.ts';
import type { Plane } from '../model/plane.ts';

/** The traffic of a plane. Where the backend has no link of its own, packets of other nodes come in by the underlay. */
export function trafficOf(backend: Backend, plane: Plane, bridges: readonly LocalBridge[]): Traffic {
  const { network, subnet, underlay } = plane;
  const links = backend
    .own(underlay, [plane])
    .flatMap((object) => (object.kind === 'link' ? [object.name] : []));
  const peerLinks = links.length === 0 ? [underlay.name] : links;
  return { network, subnet, peerLinks, underlay: underlay.name, bridges };
}
