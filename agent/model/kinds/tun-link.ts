// A TUN device. It outlives the process that reads and writes its packets.
import type { LinkBase, LinkKind } from './kind.ts';

export interface TunLink extends LinkBase {
  readonly type: 'tun';
  /** Undefined: `TUN_OWNER`. Only a device that another program made has another one: `user any group any`. */
  readonly owner?: string;
}

/** The name of our only TUN device; flannel's. */
export const TUN_NAME = 'flannel0';

/** The user and the group that may open the device: root. A device without an owner is open to all users. */
export const TUN_OWNER = { user: 0, group: 0 } as const;

export const tunKind: LinkKind<TunLink> = {
  isOwnName: (name) => name === TUN_NAME,
  format: ({ mtuBytes, owner }) => `mtu ${mtuBytes}${owner === undefined ? '' : ` ${owner}`}`,
  underlay: () => undefined,
  alter: (_, wanted) => wanted,
};
