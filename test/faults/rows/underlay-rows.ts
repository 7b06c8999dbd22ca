// Faults of the first host's interface to the other hosts.
import { systemClock } from '../../../agent/base/clock.ts';
import { ping } from '../../lab/ping.ts';
import type { FaultBed } from '../bed.ts';
import type { Fault, Injected } from '../fault.ts';

const SECOND = 1_000;
const ADDRESS = '192.168.77.1';
const NEW_ADDRESS = '192.168.77.51';
const VIRTUAL_ADDRESS = '192.168.77.61';
/** Hosts behind the router need it. It goes with the address and with the link. */
const DEFAULT_ROUTE = 'route replace default via 192.168.77.254';
const NARROW_BYTES = 1_400;
const WIDE_BYTES = 1_500;
const HEADER_BYTES = 28;

/** Runs lines of `ip` on the first host. */
function ip(bed: FaultBed, ...lines: readonly string[]): Promise<string> {
  return bed.h1.ip(...lines);
}

async function linkDownAndUp(bed: FaultBed): Promise<void> {
  await ip(bed, 'link set eth0 down');
  await systemClock.sleep(SECOND / 2);
  await ip(bed, 'link set eth0 up', DEFAULT_ROUTE);
}

async function linkStaysDown(bed: FaultBed): Promise<void> {
  await ip(bed, 'link set eth0 down');
  try {
    await bed.waitUnready(1, 10 * SECOND);
  } finally {
    await ip(bed, 'link set eth0 up', DEFAULT_ROUTE);
  }
}

async function addressGoesAndComes(bed: FaultBed): Promise<void> {
  await ip(bed, `addr del ${ADDRESS}/24 dev eth0`);
  await systemClock.sleep(SECOND / 2);
  await ip(bed, `addr add ${ADDRESS}/24 dev eth0`, DEFAULT_ROUTE);
}

async function renumber(bed: FaultBed): Promise<Injected> {
  const move = (from: string, to: string): Promise<string> =>
    ip(bed, `addr del ${from}/24 dev eth0`, `addr add ${to}/24 dev eth0`, DEFAULT_ROUTE);
  await move(ADDRESS, NEW_ADDRESS);
  return { undo: async () => void (await move(NEW_ADDRESS, ADDRESS)) };
}

/** Keepalived or kube-vip takes over a virtual address, and a restart of the network puts it before the host's own. */
async function addVirtualAddress(bed: FaultBed): Promise<Injected> {
  await ip(
    bed,
    `addr del ${ADDRESS}/24 dev eth0`,
    `addr add ${VIRTUAL_ADDRESS}/32 dev eth0`,
    `addr add ${ADDRESS}/24 dev eth0`,
    DEFAULT_ROUTE,
  );
  // A node that takes it for its own address does so within this time.
  await systemClock.sleep(2 * SECOND);
  return { undo: async () => void (await ip(bed, `addr del ${VIRTUAL_ADDRESS}/32 dev eth0`)) };
}

async function changeMtu(bed: FaultBed): Promise<Injected> {
  await ip(bed, `link set eth0 mtu ${NARROW_BYTES}`);
  const wrong = async (): Promise<string | undefined> => {
    const mtuBytes = (await bed.host(1).subnetEnv())?.mtuBytes ?? 0;
    if (mtuBytes >= WIDE_BYTES - 50) return `subnet.env says ${mtuBytes}`;
    const { address } = bed.cluster.container(2);
    const from = bed.cluster.container(1).namespace;
    for (const size of [56, 500, 1_000, mtuBytes - 1, mtuBytes]) {
      const { received, text } = await ping(from, address, {
        payloadBytes: size - HEADER_BYTES,
        dontFragment: true,
      });
      if (received === 0) return `${size} bytes do not pass: ${text.trim().split('\n')[1] ?? ''}`;
    }
    return undefined;
  };
  return { wrong, undo: async () => void (await ip(bed, `link set eth0 mtu ${WIDE_BYTES}`)) };
}

/** The file system of subnet.env is full when the agent must write the file. */
async function fillDisk(bed: FaultBed): Promise<Injected> {
  const { h1 } = bed;
  const folder = '/run/flannel';
  const file = `${folder}/subnet.env`;
  await h1.run(['cp', file, '/run/kept']);
  await h1.run(['mount', '-t', 'tmpfs', '-o', 'size=16k,mode=755', 'tmpfs', folder]);
  await h1.run(['cp', '/run/kept', file]);
  // It fails when the disk is full.
  await h1.exec(['dd', 'if=/dev/zero', `of=${folder}/filler`, 'bs=4k']);
  const before = await h1.run(['cat', file]);
  await ip(bed, `link set eth0 mtu ${NARROW_BYTES}`);
  const undo = async (): Promise<void> => {
    await h1.exec(['umount', folder]);
    await ip(bed, `link set eth0 mtu ${WIDE_BYTES}`);
  };
  try {
    const reason = await bed.waitUnready(1, 10 * SECOND);
    if (!reason.includes(file)) throw new Error(`not ready, but for another reason: ${reason}`);
    if ((await h1.run(['cat', file])) !== before) throw new Error(`${file} is not as it was`);
    await h1.run(['rm', `${folder}/filler`]);
    return { undo };
  } catch (error) {
    await undo();
    throw error;
  }
}

export const UNDERLAY_FAULTS: readonly Fault[] = [
  {
    name: 'eth0 is set down and up',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: linkDownAndUp,
  },
  {
    name: 'eth0 stays down until it is noticed',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    lasts: true,
    inject: linkStaysDown,
  },
  {
    name: "eth0's address is removed and put back",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: addressGoesAndComes,
  },
  {
    name: "eth0's address changes for good",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 2 * SECOND,
    inject: renumber,
  },
  {
    name: 'a virtual address becomes the first one of eth0',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: addVirtualAddress,
  },
  {
    name: "eth0's MTU changes",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 2 * SECOND,
    inject: changeMtu,
  },
  {
    name: 'the disk is full when subnet.env must be written',
    backends: ['vxlan'],
    requiredMs: 5 * SECOND,
    lasts: true,
    inject: fillDisk,
  },
];
