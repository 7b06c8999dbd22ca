// Reads the facts of this machine: its identity, and the interface towards the other hosts.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { HostFacts, HostSource } from '../model/host-facts.ts';
import type { NodeIdentity } from '../model/lease.ts';
import { chooseInterface, type InterfaceWish } from './external-interface.ts';
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
    const { link, address, onLink } = chooseInterface(wish, interfaces, routeTo);
    const end = { address, publicIP: publicIP ?? address, onLink };
    return { node: await readIdentity(), underlay: link, ends: { ipv4: end } };
  } finally {
    socket.socket.close();
  }
}

// Of systemd, of D-Bus and of the hypervisor, the most reliable one first.
const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id', '/sys/class/dmi/id/product_uuid'];

/** Reads this node's identity. The machine id is secret by convention, so only its digest leaves the machine. */
async function readIdentity(): Promise<NodeIdentity> {
  const name = hostname();
  let machine = name;
  for (const file of MACHINE_ID_FILES) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text.trim() === '' || text.trim() === 'uninitialized') continue;
    machine = text.trim();
    break;
  }
  return { id: createHash('sha256').update(`twill node\n${machine}`).digest('hex').slice(0, 16), name };
}
