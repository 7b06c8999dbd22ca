// The codec of TUN devices. Netlink makes none, and sets no owner: a process that opens the device does.
import { TUN_OWNER, type TunLink } from '../../model/kinds/tun-link.ts';
import type { LinkCodec } from './codec.ts';
import { ifla } from './library.ts';
import { BOUNDED } from './socket.ts';

export const tunCodec: LinkCodec<TunLink> = {
  parse: ({ base, data }) =>
    typeOfTun(data) === 'tun' ? { ...base, type: 'tun', ...ownerIn(data) } : undefined,
  async make(socket, { name, mtuBytes }) {
    await takePersistentTun(name);
    await socket.setLink(
      { flags: { up: true }, change: { up: true } },
      { ifname: name, mtu: mtuBytes },
      BOUNDED,
    );
  },
  async alter({ name, owner }) {
    // A device that is open already cannot be opened here. The data plane has made it root's then.
    if (owner !== undefined) await takePersistentTun(name);
  },
};

// include/uapi/linux/if_tun.h
const IFF_TAP = 2;

/**
 * The type of a link that rtnetlink calls a tun, in the words of `ip tuntap`. Only a `tun` can be ours: flannel makes
 * no other one, and we cannot open another one.
 */
export function typeOfTun(data: Buffer | undefined): 'tun' | 'tap' | 'tun multi_queue' {
  const { type, multiQueue } = data === undefined ? {} : ifla.parseTun(data);
  if (type?.[0] === IFF_TAP) return 'tap';
  return multiQueue?.[0] === 1 ? 'tun multi_queue' : 'tun';
}

/** Makes a TUN device that no process has to keep open, or takes over one that exists. It is root's afterwards. */
async function takePersistentTun(name: string): Promise<void> {
  // The package is loaded only here: it costs memory that the other backends do not need.
  const { openTun } = await import('dgram-native');
  using tun = openTun({ name, owner: TUN_OWNER });
  tun.setPersistent(true);
}

// A kernel before 4.17 does not tell. The data plane sets the owner whenever it opens the device.
function ownerIn(data: Buffer | undefined): Pick<TunLink, 'owner'> {
  if (data === undefined) return {};
  const { owner, group } = ifla.parseTun(data);
  const [user, users] = [owner?.readUInt32LE(0), group?.readUInt32LE(0)];
  if (user === TUN_OWNER.user && users === TUN_OWNER.group) return {};
  return { owner: `user ${user ?? 'any'} group ${users ?? 'any'}` };
}
