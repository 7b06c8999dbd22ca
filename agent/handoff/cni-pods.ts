// The network of a node's pods in Kubernetes, as a conflist of CNI. It gives the result of kube-flannel's list with
// CNI's own plugins alone. Names, bridge and reservations are the same, so that the pods of one are deleted by the
// other, and no address is given twice.
//
// The container runtime is ready when this file is there: then kubelet starts pods.
import * as v from '../base/valibot.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { formatPrefix, networkOf, type Prefix, parsePrefix } from '../model/ip.ts';
import { readFolderWarnings } from './cni-folder.ts';
import { type Form, parseOwn } from './form.ts';

const MODE = 0o644;
/** kube-flannel's. host-local names its folder of reservations after the network. */
export const POD_NETWORK = 'cbr0';
const BRIDGE = 'cni0';
/** kube-flannel's: results that a runtime has kept of one list are read with the other. All runtimes know it. */
const CNI_VERSION = '0.3.1';

// Other values may differ: another version of this program may have written them.
const ours = v.object({
  name: v.literal(POD_NETWORK),
  plugins: v.looseTuple([
    v.object({
      type: v.literal('bridge'),
      bridge: v.literal(BRIDGE),
      ipam: v.fallback(
        v.optional(v.object({ ranges: v.looseTuple([v.looseTuple([v.object({ subnet: v.string() })])]) })),
        undefined,
      ),
    }),
  ]),
});
const flannels = v.object({
  name: v.literal(POD_NETWORK),
  plugins: v.looseTuple([v.object({ type: v.literal('flannel') })]),
});

/** The form of the file at `path`, which may be kube-flannel's own: a move replaces it by one step. */
export function cniPodsForm(path: string): Form {
  return {
    path,
    mode: MODE,
    format: formatCniPods,
    isOurs: (text) => parseOwn(ours, text) !== undefined,
    replaces: (text) => parseOwn(flannels, text) !== undefined,
    subnetOf,
    readWarnings: () => readFolderWarnings(path, POD_NETWORK, PLUGINS),
  };
}

/** `loopback` is called by the runtime itself. */
const PLUGINS = ['bridge', 'host-local', 'loopback', 'portmap'];

function formatCniPods(env: SubnetEnv): string {
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  const list = { cniVersion: CNI_VERSION, name: POD_NETWORK, plugins: [bridgeOf(env), portmap] };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/** The input of the plugin `bridge` for one pod, as flannel's plugin keeps it to delete that pod. */
export function formatPodBridge(env: SubnetEnv): string {
  return JSON.stringify({ cniVersion: CNI_VERSION, name: POD_NETWORK, ...bridgeOf(env) });
}

function bridgeOf({ network, subnet, mtuBytes, ipMasq }: SubnetEnv): object {
  return {
    type: 'bridge',
    bridge: BRIDGE,
    isGateway: true,
    isDefaultGateway: true,
    // After a change of the podCIDR the bridge has the address of the former one.
    forceAddress: true,
    hairpinMode: true,
    // As flannel's plugin has it: pods reach the outside in any case.
    ipMasq: !ipMasq,
    mtu: mtuBytes,
    // Without a folder of its own, host-local uses that of kube-flannel's list.
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: formatPrefix(networkOf(subnet)) }]],
      routes: [{ dst: formatPrefix(networkOf(network)) }],
    },
  };
}

function subnetOf(text: string): Prefix | undefined {
  const subnet = parseOwn(ours, text)?.plugins[0].ipam?.ranges[0][0].subnet;
  return subnet === undefined ? undefined : parsePrefix(subnet);
}
