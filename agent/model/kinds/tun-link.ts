// A TUN device. It outlives the process that reads and writes its packets.
import type { LinkBase, LinkKind } from './kind.ts';

export interface TunLink extends LinkBase {
  readonly type: 'tun';
}

/** The name of our only TUN device; flannel's. */
export const TUN_NAME = 'flannel0';

export const tunKind: LinkKind<TunLink> = {
  isOwnName: (name) => name === TUN_NAME,
  format: ({ mtuBytes }) => `mtu ${mtuBytes}`,
  underlay: () => undefined,
  alter: (link, { mtuBytes, up }) => ({ ...link, mtuBytes, up }),
};
