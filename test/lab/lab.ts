// Several hosts on one machine, all in namespaces. Nothing appears in the machine's own network.
//
//     out (198.51.100.2) ── router ─┬─ br1 192.168.77.0/24 ─┬─ h1 .1: eth0, docker0 ── c1
//                                   │                       └─ h2 .2: eth0, docker0 ── c2
//                                   └─ br2 192.168.78.0/24 ─── h3 .3: behind the router, not on-link
//
// The router is each host's default gateway and does not masquerade, so `out` sees the source addresses of the hosts.
// All names begin with `tw-<tag>-`. Closing the lab removes everything.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Host, makeHost } from './host.ts';
import { makeNamespace, type Namespace } from './namespace.ts';
import { LabProcess } from './process.ts';
import { labFolder, labName, removeLab, sweepLeftovers } from './sweep.ts';
import { mapLimited } from './wait.ts';

export { Host };

export interface LabOptions {
  readonly hosts: number;
  /** Numbers of the hosts on the second segment; hosts count from 1. */
  readonly routed?: readonly number[];
  /** Part of all names; default: this process's id and a counter. */
  readonly tag?: string;
  /** Called for each finished host. */
  readonly onHost?: (host: Host) => void;
}

/** The router's address on the first segment; the datastores of a lab listen on it. */
export const ROUTER_ADDRESS: string = '192.168.77.254';
/** The address of the namespace that plays the rest of the world. */
export const OUTSIDE_ADDRESS: string = '198.51.100.2';

/** The network of the containers of a lab. */
export const OVERLAY: string = '10.5.0.0/16';

export class Lab implements AsyncDisposable {
  readonly tag: string;
  /** For logs and files; removed with the lab. */
  readonly folder: string;
  readonly router: Namespace;
  readonly outside: Namespace;
  readonly hosts: readonly Host[];

  constructor(tag: string, router: Namespace, outside: Namespace, hosts: readonly Host[]) {
    this.tag = tag;
    this.folder = labFolder(tag);
    this.router = router;
    this.outside = outside;
    this.hosts = hosts;
  }

  /** The host of that number; hosts count from 1. */
  host(number: number): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`the lab has no host ${number}`);
    return host;
  }

  /** Starts a program in the router's namespace. It runs until it is stopped or the lab is closed. */
  start(name: string, argv: readonly string[]): LabProcess {
    return new LabProcess(this.router.command(argv), join(this.folder, `${name}.log`));
  }

  async close(): Promise<void> {
    await removeLab(this.tag);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

let labs = 0;

/** Opens a lab. If a step fails, removes the parts made before. */
export async function openLab(options: LabOptions): Promise<Lab> {
  labs += 1;
  const tag = options.tag ?? `${process.pid}-${labs}`;
  await sweepLeftovers();
  // An earlier process with the same id may have left a lab of this name.
  await removeLab(tag);
  try {
    await mkdir(labFolder(tag), { mode: 0o700 });
    const [router, outside] = await makeUnderlay(tag);
    const routed = new Set(options.routed ?? []);
    const numbers = Array.from({ length: options.hosts }, (_, index) => index + 1);
    const hosts = await mapLimited(numbers, 4, async (number) => {
      const segment = routed.has(number) ? 2 : 1;
      const host = await makeHost({
        tag,
        name: `h${number}`,
        address: `192.168.${76 + segment}.${number}`,
        gateway: `192.168.${76 + segment}.254`,
        router,
        bridge: `br${segment}`,
      });
      options.onHost?.(host);
      return host;
    });
    return new Lab(tag, router, outside, hosts);
  } catch (error) {
    await removeLab(tag);
    throw error;
  }
}

async function makeUnderlay(tag: string): Promise<[router: Namespace, outside: Namespace]> {
  const router = await makeNamespace(labName(tag, 'router'));
  const outside = await makeNamespace(labName(tag, 'out'));
  await router.ip(
    'link add br1 type bridge',
    'addr add 192.168.77.254/24 dev br1',
    'link set br1 up',
    'link add br2 type bridge',
    'addr add 192.168.78.254/24 dev br2',
    'link set br2 up',
    `link add out type veth peer name eth0 netns ${outside.name}`,
    'addr add 198.51.100.1/24 dev out',
    'link set out up',
  );
  await outside.ip(
    `addr add ${OUTSIDE_ADDRESS}/24 dev eth0`,
    'link set eth0 up',
    'route add default via 198.51.100.1',
  );
  // An unmasqueraded packet of a container has a source address without a route on the router.
  await router.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0']);
  return [router, outside];
}
