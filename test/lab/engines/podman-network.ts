// A network of netavark on a host's subnet, as the file that Podman reads.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import type { Host } from '../host.ts';
import { NETWORK_FILES } from './podman.ts';

/** The usual name of the network. */
export const NETWORK = 'twill';

/** Writes the file of `NETWORK`, unless `changes` have another name. They are further fields, or other values. */
export async function writeNetworkFile(
  host: Host,
  changes: Readonly<Record<string, unknown>> & { readonly name?: string } = {},
): Promise<void> {
  const { subnet, mtuBytes } = await host.waitForSubnetEnv();
  const [gateway = ''] = subnet.split('/');
  const name = changes.name ?? NETWORK;
  const file = {
    name,
    id: createHash('sha256').update(name).digest('hex'),
    driver: 'bridge',
    network_interface: `${name}0`,
    created: '2026-01-01T00:00:00Z',
    subnets: [{ subnet: subnet.replace(/\.1\//, '.0/'), gateway }],
    ipv6_enabled: false,
    internal: false,
    dns_enabled: true,
    ipam_options: { driver: 'host-local' },
    ...changes,
    options: { mtu: String(mtuBytes), ...(changes['options'] as object | undefined) },
  };
  await mkdir(host.path(NETWORK_FILES), { recursive: true });
  await writeFile(`${host.path(NETWORK_FILES)}/${name}.json`, JSON.stringify(file));
}
