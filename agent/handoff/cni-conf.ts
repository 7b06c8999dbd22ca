// A network configuration for CNI, which containerd, nerdctl, CRI-O and Podman 4 read: a bridge, addresses of our
// subnet, and published ports. It needs no plugin beyond CNI's own.
import * as v from '../base/valibot.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix } from '../model/ip.ts';
import { type Form, parseOwn } from './form.ts';

const MODE = 0o644;
/** The name of the network, and of its bridge. They stay when the subnet changes. */
const NAME = 'twill';
const BRIDGE = 'cni-twill0';

// Its other values may differ: another version of this program may have written them.
const ours = v.object({
  name: v.literal(NAME),
  plugins: v.looseTuple([v.object({ bridge: v.literal(BRIDGE) })]),
});

export function cniConfForm(path: string): Form {
  return {
    path,
    mode: MODE,
    format: formatCniConf,
    isOurs: (text) => parseOwn(ours, text) !== undefined,
  };
}

function formatCniConf({ subnet, mtuBytes }: SubnetEnv): string {
  const bridge = {
    type: 'bridge',
    bridge: BRIDGE,
    // The second follows from the first, but Podman looks for it alone.
    isDefaultGateway: true,
    isGateway: true,
    // The agent masquerades, and only what leaves the overlay: a peer sees the container's own address.
    ipMasq: false,
    hairpinMode: true,
    mtu: mtuBytes,
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: formatPrefix(subnet), gateway: addressAt(subnet, 1) }]],
    },
  };
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  // The oldest version that has all of this: older engines refuse newer ones.
  return `${JSON.stringify({ cniVersion: '0.4.0', name: NAME, plugins: [bridge, portmap] }, undefined, 2)}\n`;
}
