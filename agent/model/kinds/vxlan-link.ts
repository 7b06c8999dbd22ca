// A vxlan device.
import type { LinkBase, LinkKind } from './kind.ts';

export interface VxlanLink extends LinkBase {
  readonly type: 'vxlan';
  readonly vni: number;
  /** UDP port. */
  readonly port: number;
  /** Lower-case, with colons. */
  readonly mac: string;
  /** Source address of the outer packets. */
  readonly local: string;
  /** Name of the underlay link that the device is bound to; undefined: the routes choose the link of each packet. */
  readonly underlay: string | undefined;
  readonly learning: boolean;
  /** Group based policy extension. */
  readonly gbp: boolean;
}

const OWN_NAME = /^flannel\.\d+$/;

/** The name of our device with this VNI; flannel's. */
export function vxlanName(vni: number): string {
  return `flannel.${vni}`;
}

export const vxlanKind: LinkKind<VxlanLink> = {
  isOwnName: (name) => OWN_NAME.test(name),
  format({ vni, port, mtuBytes, mac, local, underlay, learning, gbp }) {
    const dev = underlay === undefined ? '' : ` dev ${underlay}`;
    const flags = `${learning ? 'learning' : 'nolearning'}${gbp ? ' gbp' : ''}`;
    return `vni ${vni} port ${port} mtu ${mtuBytes} mac ${mac} local ${local}${dev} ${flags}`;
  },
  underlay: (link) => link.underlay,
  alter: (link, { mtuBytes, mac, up }) => ({ ...link, mtuBytes, mac, up }),
};
