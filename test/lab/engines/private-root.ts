// A Debian root as the file system of a process tree of its own on a host of the lab. Its processes see the host's
// network, and neither the files nor the processes of the machine. The end of its first process ends them all, and with
// them go all mounts.
//
// A container runtime leaves its file system by pivot_root, which fails silently in a chroot: its containers would see
// the files of the machine. So the root is a mount of its own, with the same call.
import { readFile } from 'node:fs/promises';
import { type ExecOptions, exec } from '../../../agent/base/exec.ts';
import type { Host } from '../host.ts';
import { run } from '../namespace.ts';
import type { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';

const START_MS = 10_000;
const RUN_MS = 30_000;

/** The user of rootless programs in a private root. */
export const ROOTLESS_UID = 1000;

// $1 is the root, $2 the folder that the host shares, and $3 its place in the root. Changes go to memory.
const START = `
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/changes /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/changes,workdir=/mnt/work" overlay /mnt/root
mkdir -p "$2"
cd /mnt/root
mkdir -p proc sys dev run tmp home root old var/tmp var/lib/containers etc/containers "./$3"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run home var/lib/containers; do mount -t tmpfs -o mode=755 tmpfs $folder; done
for folder in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $folder; done
mount --bind "$2" "./$3"
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts dev/mqueue dev/net
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mknod -m 666 dev/net/tun c 10 200
for device in null zero full random urandom tty; do cp -a /dev/$device dev/; done
# The links that Debian's packages make when they are installed.
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  test ! -e usr/sbin/xtables-nft-multi || ln -sf xtables-nft-multi usr/sbin/$name
done
printf 'root:x:0:0::/root:/bin/sh\\nuser:x:${ROOTLESS_UID}:${ROOTLESS_UID}::/home/user:/bin/sh\\n' > etc/passwd
printf 'root:x:0:\\nuser:x:${ROOTLESS_UID}:\\n' > etc/group
printf 'user:100000:65536\\n' | tee etc/subuid > etc/subgid
printf '127.0.0.1 localhost\\n' > etc/hosts
printf 'nameserver 127.0.0.1\\n' > etc/resolv.conf
mkdir -p home/user run/user/${ROOTLESS_UID}
chown ${ROOTLESS_UID}:${ROOTLESS_UID} home/user run/user/${ROOTLESS_UID}
chmod 700 run/user/${ROOTLESS_UID}
pivot_root . old
exec /bin/busybox sh -ec '
  busybox umount -l /old
  busybox mount --make-rshared /
  busybox touch /run/stands
  exec catatonit -P
'
`;

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

export class PrivateRoot implements AsyncDisposable {
  /** Its first process, by the machine's number. */
  readonly firstPid: number;
  readonly #process: LabProcess;

  private constructor(process: LabProcess, firstPid: number) {
    this.#process = process;
    this.firstPid = firstPid;
  }

  /**
   * Opens `folder`, a whole Debian root with busybox and catatonit. The host's folder `shared` appears in it as `as`.
   */
  static async open(host: Host, folder: string, shared: string, as: string): Promise<PrivateRoot> {
    const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
    const holder = host.start('root', [...unshare, 'sh', '-ec', START, 'sh', folder, shared, as]);
    const first = await waitFor(`${folder} stands as a root`, START_MS, async () => {
      if (!holder.isRunning) throw new Error(await holder.epitaph());
      const children = await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8');
      const pid = Number(children.split(' ')[0]);
      const stands = await readFile(`/proc/${pid}/root/run/stands`, 'utf8').catch(() => undefined);
      return pid > 0 && stands !== undefined && pid;
    });
    return new PrivateRoot(holder, first);
  }

  /** The path, outside of the root, of a file inside it. */
  path(inside: string): string {
    return `/proc/${this.firstPid}/root${inside}`;
  }

  /** The command line that runs `argv` in here, as root or as the rootless user. */
  command(argv: readonly string[], isRootless = false): readonly [string, ...string[]] {
    const uid = isRootless ? ROOTLESS_UID : 0;
    const home = isRootless ? '/home/user' : '/root';
    const settings = [`PATH=${PATH}`, `HOME=${home}`, `XDG_RUNTIME_DIR=/run/user/${uid}`];
    const enter = ['--mount', '--uts', '--pid', '--net', `--setuid=${uid}`, `--setgid=${uid}`];
    return ['env', '-i', ...settings, 'nsenter', `--target=${this.firstPid}`, ...enter, '--', ...argv];
  }

  /** Runs a program in here and returns its output. Throws with the output if the exit code is not zero. */
  run(
    argv: readonly string[],
    options: ExecOptions & { readonly isRootless?: boolean } = {},
  ): Promise<string> {
    return run(this.command(argv, options.isRootless), { timeoutMs: RUN_MS, ...options });
  }

  exec(argv: readonly string[], options: ExecOptions = {}): ReturnType<typeof exec> {
    const [file, ...args] = this.command(argv);
    return exec(file, args, { timeoutMs: RUN_MS, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.isRunning) await this.#process.stop('SIGKILL');
  }
}
