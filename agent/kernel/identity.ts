// The identity of this machine: what stays the same when its name or its addresses change.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { NodeIdentity } from '../model/lease.ts';

// Of systemd and of D-Bus, the more reliable one first. A clone of a machine has the same.
const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
// Of the hypervisor, which gives each clone another one. Only root may read it.
const PRODUCT_UUID_FILE = '/sys/class/dmi/id/product_uuid';
const NO_MAC = '00:00:00:00:00:00';

/**
 * Reads this node's identity. `mac`: that of its underlay link. The machine id is secret by convention, so only a
 * digest leaves the machine. `read` gives a file's text.
 */
export async function readIdentity(
  mac: string | undefined,
  read = (file: string): Promise<string> => readFile(file, 'utf8'),
): Promise<NodeIdentity> {
  const readId = async (file: string): Promise<string> => {
    const text = (await read(file).catch(() => '')).trim();
    return text === 'uninitialized' ? '' : text;
  };
  let machine = '';
  for (const file of MACHINE_ID_FILES) machine ||= await readId(file);
  // A machine without any id has the digest of none: it is told apart by its MAC. Its name may change at any time.
  const product = await readId(PRODUCT_UUID_FILE);
  const text = ['twill node', machine, ...(product === '' ? [] : [product.toLowerCase()])].join('\n');
  const id = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { id, mac: mac === NO_MAC ? undefined : mac, name: hostname() };
}
