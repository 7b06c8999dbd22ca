// Reads the facts of this machine: its identity, and the interface towards the other hosts.
import type { HostFacts, HostSource } from '../model/host-facts.ts';
import { chooseInterface, type InterfaceWish } from './external-interface.ts';
import { readIdentity } from './identity.ts';
import { watchInterfaces } from './netlink/host-monitor.ts';
import { readInterfaces, readRouteTo } from './netlink/interfaces.ts';
import { openRouteSocket } from './netlink/socket.ts';

/** Gives the source of this machine's facts, under the operator's wishes. */
export function createHostSource(wish: InterfaceWish, publicIP: string | undefined): HostSource {
  return { read: () => readHostFacts(wish, publicIP), watch: watchInterfaces };
}

/** Reads the facts that the agent needs of its machine. Fails as `host`. */
export async function readHostFacts(wish: InterfaceWish, publicIP: string | undefined): Promise<HostFacts> {
  const socket = openRouteSocket();
  try {
    const interfaces = await readInterfaces(socket);
    const routeTo =
      wish.ifaceCanReach === undefined ? undefined : await readRouteTo(socket, wish.ifaceCanReach);
    const { link, mac, address, onLink } = chooseInterface(wish, interfaces, routeTo);
    const end = { address, publicIP: publicIP ?? address, onLink };
    return { node: await readIdentity(mac), underlay: link, ends: { ipv4: end } };
  } finally {
    socket.socket.close();
  }
}
