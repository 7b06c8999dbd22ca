// Whether a packet would arrive, by the state of the kernels alone: route, neighbour, fdb entry, underlay address, and
// the receiving device.
import { formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import type { Host } from './host.ts';
import { innerRoute, waysOf } from './ways.ts';

/** The reason why a packet of one host's containers does not reach another's; undefined: it does. */
export function unreachable(from: Host, to: Host, hosts: readonly Host[]): string | undefined {
  const subnet = to.handOff.env?.subnet;
  if (subnet === undefined) return 'it has no subnet';
  const dst = formatPrefix(subnet);
  const here = waysOf(from.kernel);
  const route = here.routes.get(dst);
  if (route?.via === undefined || route.dev === undefined) return `no route to ${dst}`;
  const inner = innerRoute(here, subnet);
  if (inner !== undefined) return `${inner.dst}, a part of ${dst}, leads to ${inner.via ?? inner.dev}`;
  const at = (address: string): Host | undefined => hosts.find((host) => host.address === address);
  if (route.dev === from.facts.underlay.name)
    return at(route.via) === to ? undefined : `${dst} leads to ${route.via}`;

  const device = here.links.get(route.dev);
  if (device?.type !== 'vxlan' || !device.up) return `${route.dev} is no device that is up`;
  const neighbour = here.neighbours.get(route.via);
  if (neighbour === undefined) return `nobody knows where ${route.via} is`;
  const entry = here.entries.get(neighbour.mac);
  if (entry === undefined) return `nobody knows where ${neighbour.mac} is`;
  if (at(entry.dst) !== to) return `frames for ${dst} go to ${entry.dst}`;
  const there = waysOf(to.kernel);
  const receiver = there.links.get(device.name);
  if (receiver?.type !== 'vxlan' || !receiver.up) return 'its device is not up';
  if (receiver.vni !== device.vni || receiver.port !== device.port)
    return 'its device has another VNI or port';
  const filtered = to.tunnelFilter.held;
  if (filtered === undefined) return 'anybody reaches its tunnel port';
  if (!filtered.nodes.has(from.address)) return `its tunnel port is closed to ${from.address}`;
  if (receiver.mac !== neighbour.mac) return `its device has the MAC ${receiver.mac}`;
  const address = formatPrefix(hostPrefix(subnet.address));
  return there.addresses.has(address) ? undefined : `its device has not the address ${address}`;
}
