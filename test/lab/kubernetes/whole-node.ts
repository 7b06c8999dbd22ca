// A whole node of Kubernetes on a host of the lab: containerd, kubelet and kube-proxy. Its pods are in a cgroup of the
// lab, so that closing the lab ends them, also after a crash.
//
// Each node has folders of its own where the programs want fixed places. kubelet would also change settings of the
// machine, such as the panic of its kernel: it finds files in their place that have its values.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupsOf, processesOf, removeCgroup } from '../cgroups.ts';
import type { DockerRelease } from '../engines/dockers.ts';
import { givePrivateEtc } from '../engines/private-etc.ts';
import type { Host } from '../host.ts';
import type { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';
import { type ControlPlane, POD_NETWORK } from './control-plane.ts';
import { POD_IMAGE } from './node-images.ts';
import { kubernetesProgram } from './programs.ts';

const START_MS = 20_000;
const IMPORT_MS = 60_000;
const SOCKET = '/run/containerd/containerd.sock';

/** kubelet wants these values of the kernel, and writes them where they differ. */
const KERNEL_SETTINGS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
} as const;
const CGROUPS = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'systemd'];

// $1: the folder of CNI's plugins, $2: the folder of files for the kernel's settings.
const PREPARE = `
for folder in /opt /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /opt/cni/bin /etc/cni/net.d /var/lib/cni /run/flannel
for name in bridge host-local loopback portmap; do cp "$1/$name" /opt/cni/bin/; done
for file in $(cd "$2" && find . -type f); do mount --bind "$2/$file" "/proc/sys/$file"; done
`;

// $1: the name of the cgroup.
const MAKE_CGROUPS = `
for part in ${CGROUPS.join(' ')}; do
  folder=/sys/fs/cgroup/$part/$1
  mkdir -p $folder
  test $part != cpuset || for name in cpus mems; do cat $folder/../cpuset.$name > $folder/cpuset.$name; done
done
`;

// The settings of the host in /run/etc stay, as they would on a disk.
const POWER_OFF = `
for link in $(ip -o link | sed -n 's/^[0-9]*: \\([^:@]*\\).*/\\1/p'); do
  test $link = lo || test $link = eth0 || ip link delete $link
done
nft flush ruleset
awk '$2 ~ "^/run/" && $2 !~ "^/run/etc" { print $2 }' /proc/mounts | tac | xargs -r umount -l
cd /run && ls -A | grep -v '^etc$' | xargs rm -rf
mkdir flannel
`;

export class WholeNode {
  readonly host: Host;
  readonly #plane: ControlPlane;
  readonly #env: Readonly<Record<string, string>>;
  #processes: LabProcess[] = [];

  constructor(host: Host, plane: ControlPlane, engine: DockerRelease) {
    this.host = host;
    this.#plane = plane;
    this.#env = { PATH: [...engine.path, process.env['PATH']].join(':') };
  }

  get name(): string {
    return this.host.name;
  }

  /** Makes the folders of the node. `plugins` is the folder of CNI's. */
  async prepare(plugins: string): Promise<void> {
    const { host } = this;
    await givePrivateEtc(host);
    await host.namespace.exec(['ip', 'link', 'delete', 'docker0']);
    const settings = this.#file('kernel');
    for (const [name, value] of Object.entries(KERNEL_SETTINGS)) {
      const path = join(settings, name);
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, `${value}\n`);
    }
    await host.namespace.run(['sh', '-ec', PREPARE, 'sh', plugins, settings]);
    await writeFile(this.#file('containerd.toml'), this.#containerdConfig());
    await writeFile(this.#file('kubelet.json'), JSON.stringify(this.#kubeletConfig()));
  }

  /** Starts containerd, and imports these archives of images. */
  async startRuntime(archives: readonly string[]): Promise<void> {
    const config = `--config=${this.#file('containerd.toml')}`;
    const containerd = this.#start('containerd', ['containerd', config]);
    await waitFor(`containerd answers on ${this.name}`, START_MS, async () => {
      if (!containerd.isRunning) throw new Error(await containerd.epitaph());
      return (await this.host.namespace.exec(this.#ctr('version'), { env: this.#env })).exitCode === 0;
    });
    for (const archive of archives) await this.importImage(archive);
  }

  async importImage(archive: string): Promise<void> {
    const argv = this.#ctr('images', 'import', archive);
    await this.host.namespace.run(argv, { env: this.#env, timeoutMs: IMPORT_MS });
  }

  /** Starts kubelet and kube-proxy, and does not wait. */
  async start(): Promise<void> {
    await this.host.namespace.run(['sh', '-ec', MAKE_CGROUPS, 'sh', this.host.fullName]);
    const kubeconfig = await this.#plane.kubeletConfig(this.name);
    this.#start('kubelet', [
      kubernetesProgram('kubelet'),
      `--config=${this.#file('kubelet.json')}`,
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.host.address}`,
    ]);
    this.#start('kube-proxy', [
      kubernetesProgram('kube-proxy'),
      `--kubeconfig=${this.#plane.kubeconfig}`,
      `--hostname-override=${this.name}`,
      `--cluster-cidr=${POD_NETWORK}`,
      '--proxy-mode=iptables',
      '--conntrack-max-per-core=0',
      '--conntrack-tcp-timeout-established=0s',
      '--conntrack-tcp-timeout-close-wait=0s',
    ]);
  }

  /** Gives an image a second name. */
  async tagImage(name: string, second: string): Promise<void> {
    const [from, to] = [name, second].map((each) => `docker.io/library/${each}`);
    await this.host.namespace.run(this.#ctr('images', 'tag', from ?? '', to ?? ''), { env: this.#env });
  }

  /** The first process of a container. */
  async pidOf(container: string): Promise<number> {
    const listed = await this.host.namespace.run(this.#ctr('tasks', 'ls'), { env: this.#env });
    const pid = new RegExp(`^${container}\\s+(\\d+)`, 'm').exec(listed)?.[1];
    if (pid === undefined) throw new Error(`the container ${container} does not run on ${this.name}`);
    return Number(pid);
  }

  /** Starts containerd, kubelet and kube-proxy again. */
  async powerOn(): Promise<void> {
    await this.startRuntime([]);
    await this.start();
  }

  /** Ends kubelet, kube-proxy and containerd. The pods run on. */
  async stop(): Promise<void> {
    for (const each of this.#processes.reverse()) if (each.isRunning) await each.stop('SIGKILL');
    this.#processes = [];
  }

  /** Ends everything that a reboot ends: all processes, links, rules, and what is in /run. Nothing starts by itself. */
  async powerOff(): Promise<void> {
    await this.stop();
    const { namespace } = this.host;
    await waitFor(`the pods of ${this.name} have ended`, START_MS, async () => {
      const groups = await cgroupsOf(this.host.fullName);
      const pids = (await Promise.all(groups.map(processesOf))).flat();
      for (const pid of pids) await namespace.exec(['kill', '-KILL', String(pid)]);
      return pids.length === 0;
    });
    for (const group of await cgroupsOf(this.host.fullName)) await removeCgroup(group);
    await namespace.run(['sh', '-c', POWER_OFF]);
  }

  #start(name: string, argv: readonly string[]): LabProcess {
    const started = this.host.start(name, argv, this.#env);
    this.#processes.push(started);
    return started;
  }

  #ctr(...args: readonly string[]): readonly string[] {
    return ['ctr', `--address=${SOCKET}`, '--namespace=k8s.io', ...args];
  }

  #file(name: string): string {
    return join(this.host.folder, `${this.name}-${name}`);
  }

  // Its root is no tmpfs: layers of images take a gigabyte.
  #containerdConfig(): string {
    return `version = 2
root = "${this.#file('containerd')}"
state = "/run/containerd"
[grpc]
address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${POD_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
`;
  }

  #kubeletConfig(): object {
    return {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${this.host.fullName}`,
      containerRuntimeEndpoint: `unix://${SOCKET}`,
      enforceNodeAllocatable: [],
      evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'imagefs.available': '0%' },
      failSwapOn: false,
      localStorageCapacityIsolation: false,
      nodeStatusUpdateFrequency: '4s',
      resolvConf: '',
    };
  }
}
