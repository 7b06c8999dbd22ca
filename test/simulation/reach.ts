// Whether a packet would arrive, by the state of the kernels alone: route, neighbour, fdb entry, underlay address, and
// the receiving device.
import type { HostObject, Link } from '../../agent/model/host-state.ts';
import { formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import type { Host } from './host.ts';

/** The reason why a packet of one host's containers does not reach another's; undefined: it does. */
export function unreachable(from: Host, to: Host, hosts: readonly Host[]): string | undefined {
  const subnet = to.handOff.env?.subnet;
  if (subnet === undefined) return 'it has no subnet';
  const dst = formatPrefix(subnet);
  const here = from.kernel.objects();
  const route = here.find((object) => object.kind === 'route' && object.dst === dst);
  if (route?.kind !== 'route' || route.via === undefined) return `no route to ${dst}`;
  const at = (address: string): Host | undefined => hosts.find((host) => host.address === address);
  if (route.dev === from.facts.underlay.name)
    return at(route.via) === to ? undefined : `${dst} leads to ${route.via}`;

  const device = linkNamed(here, route.dev);
  if (device?.type !== 'vxlan' || !device.up) return `${route.dev} is no device that is up`;
  const neighbour = here.find((object) => object.kind === 'neigh' && object.address === route.via);
  if (neighbour?.kind !== 'neigh') return `nobody knows where ${route.via} is`;
  const entry = here.find((object) => object.kind === 'fdb' && object.mac === neighbour.mac);
  if (entry?.kind !== 'fdb') return `nobody knows where ${neighbour.mac} is`;
  if (at(entry.dst) !== to) return `frames for ${dst} go to ${entry.dst}`;
  const there = to.kernel.objects();
  const receiver = linkNamed(there, device.name);
  if (receiver?.type !== 'vxlan' || !receiver.up) return 'its device is not up';
  if (receiver.vni !== device.vni || receiver.port !== device.port)
    return 'its device has another VNI or port';
  const filtered = to.tunnelFilter.held;
  if (filtered === undefined) return 'anybody reaches its tunnel port';
  if (!filtered.nodes.has(from.address)) return `its tunnel port is closed to ${from.address}`;
  if (receiver.mac !== neighbour.mac) return `its device has the MAC ${receiver.mac}`;
  const address = formatPrefix(hostPrefix(subnet.address));
  const isThere = there.some((object) => object.kind === 'addr' && object.prefix === address);
  return isThere ? undefined : `its device has not the address ${address}`;
}

function linkNamed(objects: readonly HostObject[], name: string | undefined): Link | undefined {
  const link = objects.find((object) => object.kind === 'link' && object.name === name);
  return link?.kind === 'link' ? link : undefined;
}
