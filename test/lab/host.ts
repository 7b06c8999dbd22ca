// One host of a lab: network, mount and UTS namespaces, with a host name, a machine id and a /run of its own, an eth0
// on the underlay, and a bridge docker0 for containers.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentProcess } from './agent-process.ts';
import { attachContainer, type Container } from './container.ts';
import { makeNamespace, type Namespace, namespaceOf, run } from './namespace.ts';
import { TWILL } from './paths.ts';
import { LabProcess } from './process.ts';
import { labFolder, labName } from './sweep.ts';
import { waitFor } from './wait.ts';

/** The file that an agent writes for Docker. */
export interface SubnetEnv {
  /** The whole overlay: `10.5.0.0/16`. */
  readonly network: string;
  /** Our subnet, with the address of its bridge: `10.5.34.1/24`. */
  readonly subnet: string;
  readonly mtuBytes: number;
  readonly ipMasq: boolean;
}

export interface HostPlace {
  readonly tag: string;
  /** `h1`; also its host name. */
  readonly name: string;
  /** Its address on the underlay. */
  readonly address: string;
  /** The router's address on the same segment. */
  readonly gateway: string;
  /** The router's namespace, and the bridge of the segment in it. */
  readonly router: Namespace;
  readonly bridge: string;
}

export class Host {
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace;
  /** The process that holds the mount and UTS namespaces. */
  readonly holder: number;
  readonly containers: Container[] = [];
  readonly #tag: string;
  #agents = 0;

  constructor(place: HostPlace, holder: number) {
    this.name = place.name;
    this.address = place.address;
    this.holder = holder;
    this.#tag = place.tag;
    this.namespace = namespaceOf(labName(place.tag, place.name), holder);
  }

  /** The name of what the host keeps outside of its namespaces: a folder, a cgroup. */
  get fullName(): string {
    return labName(this.#tag, this.name);
  }

  /** The folder of its lab. */
  get folder(): string {
    return labFolder(this.#tag);
  }

  /** The path, outside of the host, of a file inside it. */
  path(inside: string): string {
    return `/proc/${this.holder}/root${inside}`;
  }

  /** Starts `twill run` with these arguments. */
  startAgent(args: readonly string[], env: Readonly<Record<string, string>> = {}): AgentProcess {
    this.#agents += 1;
    const log = join(labFolder(this.#tag), `${this.name}-agent-${this.#agents}.log`);
    return new AgentProcess(
      this.namespace,
      new LabProcess(this.namespace.command([...TWILL, 'run', ...args]), log, env),
    );
  }

  /** Starts another program, which runs until it is stopped. */
  start(name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): LabProcess {
    const log = join(labFolder(this.#tag), `${this.name}-${name}.log`);
    return new LabProcess(this.namespace.command(argv), log, env);
  }

  /** The agent's subnet.env; undefined: there is none yet. */
  async subnetEnv(path = '/run/flannel/subnet.env'): Promise<SubnetEnv | undefined> {
    const text = await readFile(this.path(path), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';
    return {
      network: value('FLANNEL_NETWORK'),
      subnet: value('FLANNEL_SUBNET'),
      mtuBytes: Number(value('FLANNEL_MTU')),
      ipMasq: value('FLANNEL_IPMASQ') === 'true',
    };
  }

  /** Waits for the agent's subnet.env; throws at once if `agent` ends before. */
  async waitForSubnetEnv(timeoutMs = 10_000, agent?: AgentProcess): Promise<SubnetEnv> {
    return waitFor(`${this.name} has a subnet`, timeoutMs, async () => {
      const env = await this.subnetEnv();
      if (env === undefined && agent?.process.isRunning === false) {
        throw new Error(`${this.name}: ${await agent.process.epitaph()}`);
      }
      return env;
    });
  }

  /** Attaches one more container to docker0, with the addresses that Docker gives by `--bip` and `--mtu`. */
  async addContainer(env?: SubnetEnv): Promise<Container> {
    const name = `c${this.name.slice(1)}${this.containers.length === 0 ? '' : `-${this.containers.length + 1}`}`;
    const container = await attachContainer({
      tag: this.#tag,
      name,
      host: this.namespace,
      index: this.containers.length,
      env: env ?? (await this.waitForSubnetEnv()),
    });
    this.containers.push(container);
    return container;
  }
}

/** Makes a host and connects it to its segment of the underlay. */
export async function makeHost(place: HostPlace): Promise<Host> {
  const { tag, name } = place;
  const full = labName(tag, name);
  await makeNamespace(full);
  const machineId = join(labFolder(tag), `${name}-machine-id`);
  const id = createHash('sha256').update(`${full} ${place.address}`).digest('hex').slice(0, 32);
  await writeFile(machineId, `${id}\n`, { mode: 0o444 });
  // A bind mount needs an existing file; some minimal systems have no machine id.
  if (!existsSync('/etc/machine-id')) await writeFile('/etc/machine-id', '', { flag: 'a' });
  // Mounts propagate in and not out: a namespace deleted outside must not stay pinned in here.
  const enter = [
    'nsenter',
    `--net=/run/netns/${full}`,
    'unshare',
    '--mount',
    '--uts',
    '--propagation',
    'slave',
  ] as const;
  const holder = new LabProcess([...enter, 'sleep', 'infinity'], join(labFolder(tag), `${name}-holder.log`));
  await waitFor(`${name} has its namespaces`, 5_000, async () => {
    if (!holder.isRunning) throw new Error(await holder.epitaph());
    return (await readFile(`/proc/${holder.pid}/comm`, 'utf8')).trim() === 'sleep';
  });
  const host = new Host(place, holder.pid);
  await host.namespace.run(['mount', '--bind', machineId, '/etc/machine-id']);
  await host.namespace.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  await host.namespace.run(['hostname', name]);
  await mkdir(host.path('/run/flannel'), { recursive: true });
  await connect(place, full);
  await host.namespace.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  return host;
}

async function connect(place: HostPlace, full: string): Promise<void> {
  const { router, name, bridge, address, gateway } = place;
  await router.ip(
    `link add ${name} type veth peer name eth0 netns ${full}`,
    `link set ${name} master ${bridge} up`,
  );
  // The kernel adds its own IPv6 addresses late. Without them, only programs change the host.
  const host = namespaceOf(full);
  await host.ip(
    `addr add ${address}/24 dev eth0`,
    'link set eth0 addrgenmode none',
    'link set eth0 up',
    `route add default via ${gateway}`,
    'link add docker0 type bridge',
    'link set docker0 addrgenmode none',
    'link set docker0 up',
  );
}

/** Runs the built `twill` outside of all hosts until it ends, and returns its output. */
export async function runTwill(args: readonly string[]): Promise<string> {
  return run([...TWILL, ...args], { timeoutMs: 30_000 });
}
