// Puts the files of deploy/ where a package would put them, and starts nothing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../paths.ts';
import type { System } from './system.ts';

const FILES: Readonly<Record<string, string>> = {
  'systemd/twill.service': '/usr/lib/systemd/system/twill.service',
  'systemd/twill-docker.path': '/usr/lib/systemd/system/twill-docker.path',
  'systemd/twill-docker.service': '/usr/lib/systemd/system/twill-docker.service',
  'systemd/twill.env': '/etc/twill/twill.env',
  'systemd/wait-subnet': '/usr/lib/twill/wait-subnet',
  'systemd/restart-docker': '/usr/lib/twill/restart-docker',
  'systemd/docker-drop-in': '/usr/lib/twill/docker-drop-in',
  'sysctl.d/50-twill.conf': '/usr/lib/sysctl.d/50-twill.conf',
  'sysusers.d/twill.conf': '/usr/lib/sysusers.d/twill.conf',
  'tmpfiles.d/twill.conf': '/usr/lib/tmpfiles.d/twill.conf',
  'networkd/networkd.conf': '/usr/lib/systemd/networkd.conf.d/10-twill.conf',
  'networkd/10-twill.network': '/usr/lib/systemd/network/10-twill.network',
  'networkd/10-twill.link': '/usr/lib/systemd/network/10-twill.link',
  'NetworkManager/30-twill.conf': '/usr/lib/NetworkManager/conf.d/30-twill.conf',
  'firewalld/twill.xml': '/usr/lib/firewalld/services/twill.xml',
};

/** Installs the files. The settings are written behind the shipped ones. */
export async function installTwill(
  system: System,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, path] of Object.entries(FILES)) {
    const text = await readDeployed(name);
    await system.write(path, text, text.startsWith('#!') ? 0o755 : 0o644);
  }
  await configureTwill(system, settings);
  await system.run('systemd-tmpfiles', '--create', '/usr/lib/tmpfiles.d/twill.conf');
  await system.run('systemctl', 'daemon-reload');
}

/** Writes the settings of the agent. They count from its next start. */
export async function configureTwill(
  system: System,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await system.write(
    '/etc/twill/twill.env',
    `${await readDeployed('systemd/twill.env')}${lines.join('')}`,
    0o640,
  );
}

/** The text of a file of deploy/. */
export function readDeployed(name: string): Promise<string> {
  return readFile(join(PROJECT_ROOT, 'deploy', name), 'utf8');
}
