// An /etc of a host's own. Engines read their settings there, and dockerd writes a key into it.
import { readFile, writeFile } from 'node:fs/promises';
import type { Host } from '../host.ts';

/** Lets the host change its /etc, and nobody else see it. The changes are in the memory of the host's /run. */
export async function givePrivateEtc(host: Host): Promise<void> {
  const { namespace } = host;
  const machineId = await readFile(host.path('/etc/machine-id'));
  await namespace.run(['mkdir', '-p', '/run/etc/upper', '/run/etc/work']);
  const layers = 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work';
  await namespace.run(['umount', '/etc/machine-id']);
  await namespace.run(['mount', '-t', 'overlay', 'overlay', '-o', layers, '/etc']);
  await writeFile(host.path('/etc/machine-id'), machineId);
}
