// The releases of Debian that the lab can boot as hosts with systemd.
import { type DebianRoot, fillRoot, rootFailure, rootFolder } from '../engines/debian-root.ts';
import { BUSYBOX_ROOT, makeImage } from '../engines/image.ts';

export interface DebianHost {
  /** Debian and systemd, for titles of tests. */
  readonly title: string;
  /** Why it cannot be booted, on one line; undefined: it can. */
  readonly missing: string | undefined;
  /** The root with its programs. */
  readonly folder: string;
}

const SYSTEM = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'login',
  'passwd',
  'base-files',
  'base-passwd',
  'libc-bin',
];
const TOOLS = [
  'bash',
  'dash',
  'coreutils',
  'util-linux',
  'grep',
  'sed',
  'mount',
  'procps',
  'kmod',
  'hostname',
  'perl-base',
];
/** Programs that the agent runs, and libraries of Node.js. */
const AGENT = ['iproute2', 'iptables', 'nftables', 'libstdc++6'];
/** Programs that install packages of ours. */
const INSTALLERS = ['apt', 'dpkg', 'rpm', 'tar', 'gzip', 'findutils', 'diffutils'];
/** Debian's Docker. Its client is a package of its own since Debian 13. */
const DOCKER = {
  bookworm: ['docker.io', 'containerd', 'runc'],
  trixie: ['docker.io', 'docker-cli', 'containerd', 'runc'],
} as const;
/** Programs that configure networks and firewalls. They are on hosts of their own. */
const MANAGERS = ['udev', 'network-manager', 'firewalld', 'ufw'];
/** The Node.js of Debian 12 is too old for the agent. */
const NODE = { bookworm: [], trixie: ['nodejs'] } as const;
/** The datastore of the demo, and the programs in its containers. */
const DEMO = { bookworm: [], trixie: ['etcd-server', 'busybox-static'] } as const;

const rootOf = (suite: 'bookworm' | 'trixie'): DebianRoot => ({
  name: 'systemd',
  suite,
  packages: [...SYSTEM, ...TOOLS, ...AGENT, ...INSTALLERS, ...DOCKER[suite], ...NODE[suite], ...DEMO[suite]],
  isWhole: true,
});
const DEBIAN_13 = rootOf('trixie');
const ROOTS = [rootOf('bookworm'), DEBIAN_13];
const MANAGED_ROOTS = ROOTS.map(
  (root): DebianRoot => ({
    ...root,
    name: 'managers',
    packages: [...SYSTEM, ...TOOLS, ...AGENT, ...MANAGERS],
  }),
);
const TITLES = { bookworm: 'Debian 12 with systemd 252', trixie: 'Debian 13 with systemd 257' } as const;

/** Unpacks the roots that are missing, and the image of their containers. */
export async function fillHostCache(say: (line: string) => void): Promise<void> {
  for (const root of [...ROOTS, ...MANAGED_ROOTS]) await fillRoot(root, say);
  await makeImage(say);
}

/** Unpacks Debian 13 alone, if it is missing. Throws an Error of one line where it cannot be had. */
export async function openDebian13(say: (line: string) => void): Promise<Omit<DebianHost, 'missing'>> {
  await fillRoot(DEBIAN_13, say);
  const failure = await rootFailure(DEBIAN_13);
  if (failure !== undefined) throw new Error(`packages of Debian 13: ${failure}`);
  return { title: TITLES.trixie, folder: rootFolder(DEBIAN_13) };
}

export function readDebianHosts(): Promise<readonly DebianHost[]> {
  return readHosts(ROOTS);
}

/** The releases with NetworkManager, firewalld and ufw, none of which is started. */
export function readManagedHosts(): Promise<readonly DebianHost[]> {
  return readHosts(MANAGED_ROOTS);
}

function readHosts(roots: readonly DebianRoot[]): Promise<readonly DebianHost[]> {
  return Promise.all(
    roots.map(async (root) => {
      const failure = (await rootFailure(root)) ?? (await rootFailure(BUSYBOX_ROOT));
      const missing =
        failure === undefined ? undefined : `needs packages of Debian ${root.suite}: ${failure}`;
      return {
        title: TITLES[root.suite === 'sid' ? 'trixie' : root.suite],
        missing,
        folder: rootFolder(root),
      };
    }),
  );
}
