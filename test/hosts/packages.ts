// The packages of `npm run package`, and the commands that a host installs them with.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../lab/namespace.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import type { System } from '../lab/systemd/system.ts';

export const VERSION: string = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8')).version;
export const DEB = `twill_${VERSION}-1_amd64.deb`;
export const RPM = `twill-${VERSION}-1.x86_64.rpm`;
export const TARBALL = `twill-${VERSION}-linux-amd64.tar.gz`;

/** The folder of a host that the tests copy the packages into. */
export const PACKAGES = '/opt/packages';
export const SETTINGS = '/etc/twill/twill.env';
export const INSTALL_SH = `tar -C /tmp -xf ${PACKAGES}/${TARBALL} && /tmp/twill-${VERSION}-linux-amd64/install.sh`;

export const BUILD_MS = 60_000;

/** Builds all packages into a new folder. */
export async function buildPackages(folder: string, umask = '022'): Promise<void> {
  const command = [process.execPath, join(PROJECT_ROOT, 'scripts/package.mjs'), folder];
  await run(['sh', '-c', `umask ${umask}; exec "$@"`, 'sh', ...command], { timeoutMs: BUILD_MS });
}

/** All files of a host, but for those of /var, where the package managers and systemd keep theirs. */
export function filesOf(system: System): Promise<string> {
  const pruned = '\\( -path /var -o -path /opt \\) -prune -o -print';
  return system.run('sh', '-ec', `find / -xdev ${pruned} | sort; find /run/flannel || :`);
}
