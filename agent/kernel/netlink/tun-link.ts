// The codec of TUN devices. Netlink makes none: a TUN device is made when a process opens it. Netlink sets it up then.
import type { TunLink } from '../../model/kinds/tun-link.ts';
import type { LinkCodec } from './codec.ts';
import { BOUNDED } from './socket.ts';

export const tunCodec: LinkCodec<TunLink> = {
  parse: ({ base }) => ({ ...base, type: 'tun' }),
  async make(socket, { name, mtuBytes }) {
    await makePersistentTun(name);
    await socket.setLink(
      { flags: { up: true }, change: { up: true } },
      { ifname: name, mtu: mtuBytes },
      BOUNDED,
    );
  },
};

/** Makes a TUN device that stays when no process has it open. Nothing changes where it exists. */
async function makePersistentTun(name: string): Promise<void> {
  // The package is loaded only here: it costs memory that the other backends do not need.
  const { openTun } = await import('dgram-native');
  using tun = openTun({ name });
  tun.setPersistent(true);
}
