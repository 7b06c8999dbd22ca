// The identity of this machine: what stays the same when its name or its addresses change.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { NodeIdentity } from '../model/lease.ts';

// Of systemd, of D-Bus and of the hypervisor, the most reliable one first.
const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id', '/sys/class/dmi/id/product_uuid'];

/**
 * Reads this node's identity. `mac`: that of its underlay link. The machine id is secret by convention, so only its
 * digest leaves the machine.
 */
export async function readIdentity(mac: string | undefined): Promise<NodeIdentity> {
  const name = hostname();
  let machine = name;
  for (const file of MACHINE_ID_FILES) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text.trim() === '' || text.trim() === 'uninitialized') continue;
    machine = text.trim();
    break;
  }
  const id = createHash('sha256').update(`twill node\n${machine}`).digest('hex').slice(0, 16);
  return { id, mac, name };
}
