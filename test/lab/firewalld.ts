// A real firewalld on a host of the lab, with its bus. The machine's own stays stopped.
import { mkdir, writeFile } from 'node:fs/promises';
import type { Host } from './host.ts';
import { LabProcess } from './process.ts';
import { waitFor } from './wait.ts';

// Programs look for the bus of a system there, and each host has a /run of its own.
const BUS = 'unix:path=/run/dbus/system_bus_socket';

const BUS_CONFIG = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>${BUS}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow user="*"/>
  </policy>
</busconfig>`;

export interface Firewalld {
  /** Runs firewall-cmd; throws if it fails. */
  cmd(...args: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** Starts firewalld and its bus on a host, with settings in the host's /run. */
export async function startFirewalld(host: Host, backend: string): Promise<Firewalld> {
  const settings = host.path('/run/firewalld-settings');
  await mkdir(settings, { recursive: true });
  await mkdir(host.path('/run/dbus'), { recursive: true });
  await writeFile(`${settings}/firewalld.conf`, `FirewallBackend=${backend}\nDefaultZone=public\n`);
  await writeFile(host.path('/run/bus.conf'), BUS_CONFIG);
  const env = { DBUS_SYSTEM_BUS_ADDRESS: BUS };
  const start = (name: string, ...args: readonly string[]): LabProcess =>
    new LabProcess(host.namespace.command([name, ...args]), host.path(`/run/${name}.log`), env);
  const bus = start('dbus-daemon', '--config-file=/run/bus.conf', '--nofork', '--nopidfile');
  const daemon = start('firewalld', '--nofork', '--nopid', '--system-config', '/run/firewalld-settings');
  const cmd = (...args: readonly string[]) =>
    host.namespace.exec(['env', `DBUS_SYSTEM_BUS_ADDRESS=${BUS}`, 'firewall-cmd', ...args]);
  await waitFor('firewalld answers', 10_000, async () => (await cmd('--state')).exitCode === 0, 100);
  return {
    cmd: async (...args: readonly string[]) => {
      const { exitCode, stderr } = await cmd(...args);
      if (exitCode !== 0) throw new Error(`firewall-cmd ${args.join(' ')}: ${stderr.trim()}`);
    },
    stop: async () => {
      await daemon.stop();
      await bus.stop();
    },
  };
}
