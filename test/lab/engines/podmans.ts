// The releases of Podman that the lab can start. Each is a whole root of Debian's packages: netavark needs the C
// library of its own Debian.
import { type DebianRoot, rootFailure, rootFolder } from './debian-root.ts';

export interface PodmanRelease {
  readonly title: string;
  /** Why it cannot be started, on one line; undefined: it can. */
  readonly missing: string | undefined;
  /** The root with its programs. */
  readonly folder: string;
}

const PROGRAMS = ['podman', 'netavark', 'aardvark-dns', 'catatonit', 'crun', 'uidmap', 'busybox-static'];
const FIREWALLS = ['iptables', 'nftables'];

/** Podman 4.3 with netavark 1.4, which knows iptables alone, with CNI and with slirp4netns. */
const PODMAN_4_ROOT: DebianRoot = {
  name: 'podman',
  suite: 'bookworm',
  packages: [...PROGRAMS, ...FIREWALLS, 'containernetworking-plugins', 'slirp4netns'],
  isWhole: true,
};

/** Podman 5.4 with netavark 1.14, which has a table of its own in nftables, and with pasta. */
export const PODMAN_5_ROOT: DebianRoot = {
  name: 'podman',
  suite: 'trixie',
  packages: [...PROGRAMS, ...FIREWALLS, 'passt'],
  isWhole: true,
};

export const PODMAN_ROOTS: readonly DebianRoot[] = [PODMAN_4_ROOT, PODMAN_5_ROOT];

export const readPodman4 = (): Promise<PodmanRelease> => readPodman('Podman 4', PODMAN_4_ROOT);
export const readPodman5 = (): Promise<PodmanRelease> => readPodman('Podman 5', PODMAN_5_ROOT);

async function readPodman(title: string, root: DebianRoot): Promise<PodmanRelease> {
  const failure = await rootFailure(root);
  const missing = failure === undefined ? undefined : `needs packages of Debian ${root.suite}: ${failure}`;
  return { title, missing, folder: rootFolder(root) };
}
