// A Debian root that is booted by its own systemd on a host of the lab, as a virtual machine is. Its processes see
// the host's network and a file system of their own, whose changes go to memory. They are in cgroups of the lab.
//
//     host of the lab ── systemd-nspawn ── systemd of Debian ── twill.service, …
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ExecOptions, type ExecResult, exec } from '../../../agent/base/exec.ts';
import type { Host } from '../host.ts';
import { run } from '../namespace.ts';
import { PROJECT_ROOT } from '../paths.ts';
import type { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';

const START_MS = 40_000;
const RUN_MS = 30_000;
/** The number of SIGRTMIN+5, by which systemd reboots. */
const REBOOT_SIGNAL = 39;

// $1 is the root, $2 the name of the cgroup, $3 the process with the host's network, $4 the project and $5 Node.js.
const START = `
for folder in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  test ! -e $folder/cgroup.procs || { mkdir -p "$folder/$2"; echo $$ > "$folder/$2/cgroup.procs"; }
done
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/changes /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/changes,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
mkdir -p proc sys dev run tmp home root etc var/tmp opt/twill
cp /etc/machine-id etc/machine-id
hostname > etc/hostname
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
printf '127.0.0.1 localhost\\n' > etc/hosts
rm -rf var/run
ln -s /run var/run
# The links that Debian's packages make when they are installed.
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -sf xtables-nft-multi usr/sbin/$name
done
# firewall-cmd asks for these rights.
actions=usr/share/polkit-1/actions/org.fedoraproject.FirewallD1
test ! -e $actions.server.policy.choice || cp $actions.server.policy.choice $actions.policy
# ufw's settings, as its package puts them in place.
test ! -d etc/ufw || cp usr/share/ufw/*.rules usr/share/ufw/*.init usr/share/ufw/ufw.conf etc/ufw
printf '#!/bin/sh\\nexec /usr/bin/node /opt/twill/dist/agent/main.js "$@"\\n' > usr/bin/twill
chmod 755 usr/bin/twill
cd /
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
# Programs change settings of the network, as on any machine.
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
boot() { systemd-nspawn --quiet --boot --directory=/mnt/root --machine="$(hostname)" --register=no --keep-unit \\
  --network-namespace-path="/proc/$3/ns/net" --console=passive --capability=all --link-journal=no \\
  --resolv-conf=off --timezone=off --system-call-filter='@keyring bpf @module' \\
  --bind-ro="$4:/opt/twill" --bind-ro="$5:/usr/bin/node"; }
# 133 is a reboot.
while true; do boot "$@" && exit 0 || test $? = 133; done
`;

/** It ends with its lab. */
export class System {
  readonly host: Host;
  readonly #process: LabProcess;
  #firstPid = 0;

  private constructor(host: Host, process: LabProcess) {
    this.host = host;
    this.#process = process;
  }

  /** Boots `folder`, the root of a Debian, and waits until its services have started. */
  static async boot(host: Host, folder: string): Promise<System> {
    const unshare = ['unshare', '--mount', '--propagation', 'private'];
    const inputs = [folder, host.fullName, String(host.holder), PROJECT_ROOT, process.execPath];
    const system = new System(host, host.start('system', [...unshare, 'sh', '-ec', START, 'sh', ...inputs]));
    await system.#waitForBoot();
    return system;
  }

  async #waitForBoot(): Promise<void> {
    const before = this.#firstPid;
    await waitFor(`${this.host.name} has booted`, START_MS, async () => {
      if (!this.#process.isRunning) throw new Error(await this.#process.epitaph());
      this.#firstPid = await childOf(await childOf(this.#process.pid));
      if (this.#firstPid === 0 || this.#firstPid === before) return false;
      const { stdout } = await this.exec(['systemctl', 'is-system-running']);
      return /^(?:running|degraded)$/m.test(stdout);
    });
    // With the mode that udev gives it. The machine's own may have another one.
    await this.run('rm', '-f', '/dev/net/tun');
    await this.run('mknod', '-m', '666', '/dev/net/tun', 'c', '10', '200');
  }

  /** The path, outside of the system, of a file inside it. */
  path(inside: string): string {
    return `/proc/${this.#firstPid}/root${inside}`;
  }

  /** Runs a program in here with any exit code. */
  exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const [file, ...args] = this.#command(argv);
    return exec(file, args, { timeoutMs: RUN_MS, ...options });
  }

  /** Runs a program in here and returns its output. Throws with the output if the exit code is not zero. */
  async run(...argv: readonly string[]): Promise<string> {
    return (await run(this.#command(argv), { timeoutMs: RUN_MS })).trim();
  }

  #command(argv: readonly string[]): readonly [string, ...string[]] {
    const enter = ['nsenter', `--target=${this.#firstPid}`, '--all', '--'];
    return ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C', ...enter, ...argv];
  }

  /** Writes a file and the folders above it. */
  async write(path: string, text: string, mode = 0o644): Promise<void> {
    await mkdir(dirname(this.path(path)), { recursive: true });
    await writeFile(this.path(path), text, { mode });
  }

  /** Starts or restarts a unit, and waits until its start is over. Throws with its log if that fails. */
  async start(unit: string, verb: 'start' | 'restart' = 'start'): Promise<void> {
    const { exitCode, stderr } = await this.exec(['systemctl', verb, unit]);
    if (exitCode !== 0) throw new Error(`${stderr}\n${await this.journal(unit)}`);
  }

  /** Adds lines to a unit, as `systemctl edit` does. They go when the result is disposed of. */
  async edit(unit: string, text: string): Promise<AsyncDisposable> {
    const path = `/etc/systemd/system/${unit}.d/test.conf`;
    await this.write(path, text);
    await this.run('systemctl', 'daemon-reload');
    return {
      [Symbol.asyncDispose]: async () => {
        await rm(this.path(path), { force: true });
        await rmdir(dirname(this.path(path))).catch(() => undefined);
        await this.run('systemctl', 'daemon-reload');
      },
    };
  }

  /** Writes a file. Disposing of the result brings back the one that was there, or removes it. */
  async replace(path: string, text: string): Promise<AsyncDisposable> {
    const before = await readFile(this.path(path), 'utf8').catch(() => undefined);
    await this.write(path, text);
    return {
      [Symbol.asyncDispose]: async () => {
        if (before === undefined) await rm(this.path(path));
        else await this.write(path, before);
      },
    };
  }

  /** A property of a unit, as `systemctl show` prints it. */
  show(unit: string, property: string): Promise<string> {
    return this.run('systemctl', 'show', '--property', property, '--value', unit);
  }

  /** Waits until a property of a unit has a value, and throws with the unit's log after `timeoutMs`. */
  async waitFor(unit: string, property: string, value: RegExp, timeoutMs = 15_000): Promise<string> {
    let last = '';
    try {
      return await waitFor(`${property} of ${unit} is ${value}`, timeoutMs, async () => {
        last = await this.show(unit, property);
        return value.test(last) && last;
      });
    } catch (error) {
      throw new Error(`${String(error)}; it is "${last}"\n${await this.journal(unit)}`);
    }
  }

  /** The newest log lines of a unit, of systemd's too. */
  async journal(unit: string): Promise<string> {
    return this.run('journalctl', '--no-pager', '--output=cat', '--lines=200', '--unit', unit);
  }

  /** Restarts the whole system. /run is empty afterwards, and other files are as they were. */
  async reboot(): Promise<void> {
    process.kill(this.#firstPid, REBOOT_SIGNAL);
    await this.#waitForBoot();
  }
}

/** A child of a process; 0: it has none, or it has ended. */
async function childOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return Number(text.split(' ')[0]);
}
