// An /etc of a host's own. Engines read their settings there, dockerd writes a key into it, and it says which iptables
// the host has.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Host } from '../host.ts';

/** Lets the host change its /etc, and nobody else see it. The changes are in the memory of the host's /run. */
export async function givePrivateEtc(host: Host): Promise<void> {
  const { namespace } = host;
  if (existsSync(host.path('/run/etc'))) return;
  const machineId = await readFile(host.path('/etc/machine-id'));
  await namespace.run(['mkdir', '-p', '/run/etc/upper', '/run/etc/work']);
  const layers = 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work';
  await namespace.run(['umount', '/etc/machine-id']);
  await namespace.run(['mount', '-t', 'overlay', 'overlay', '-o', layers, '/etc']);
  await writeFile(host.path('/etc/machine-id'), machineId);
}

/** Makes the old iptables the host's iptables, as `update-alternatives` does, for the programs that start later. */
export async function preferLegacyIptables(host: Host): Promise<void> {
  await givePrivateEtc(host);
  for (const family of ['iptables', 'ip6tables']) {
    for (const part of ['', '-save', '-restore']) {
      const link = `/etc/alternatives/${family}${part}`;
      await host.namespace.run(['ln', '-sf', `/usr/sbin/${family}-legacy${part}`, link]);
    }
  }
}
