// A network of Podman, as a file that netavark's side of Podman reads: a bridge with our whole subnet. Podman skips a
// file with a warning where its name is not the network's, or where the id has not 64 digits.
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Clock } from '../base/clock.ts';
import * as v from '../base/valibot.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix } from '../model/ip.ts';
import { type Form, parseOwn } from './form.ts';

const MODE = 0o644;
const BRIDGE = 'twill0';
const LABELS = { 'managed-by': 'twill' };

const ours = v.object({
  labels: v.object({ 'managed-by': v.literal(LABELS['managed-by']) }),
  created: v.fallback(v.optional(v.pipe(v.string(), v.isoTimestamp())), undefined),
});

/** The form of the file at `path`, whose name is that of the network and `.json`. */
export function podmanNetworkForm(path: string, clock: Pick<Clock, 'wallMs'>): Form {
  const name = basename(path, '.json');
  return {
    path,
    mode: MODE,
    format(env, old) {
      const created = old === undefined ? undefined : parseOwn(ours, old)?.created;
      return formatNetwork(name, created ?? new Date(clock.wallMs()).toISOString(), env);
    },
    isOurs: (text) => parseOwn(ours, text) !== undefined,
  };
}

function formatNetwork(name: string, created: string, { network, subnet, mtuBytes }: SubnetEnv): string {
  const value = {
    name,
    id: idOf(name, formatPrefix(network), formatPrefix(subnet)),
    driver: 'bridge',
    network_interface: BRIDGE,
    created,
    subnets: [{ subnet: formatPrefix(subnet), gateway: addressAt(subnet, 1) }],
    ipv6_enabled: false,
    internal: false,
    // Names would end at this host.
    dns_enabled: false,
    labels: LABELS,
    // Podman's own default is the MTU of the default route's link, or 1500: both are too large beside a tunnel.
    options: { mtu: String(mtuBytes) },
    ipam_options: { driver: 'host-local' },
  };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/**
 * The id of the network: a digest of its name, the overlay and this node's subnet. No two nodes have one, and a node
 * keeps it as long as its lease.
 */
function idOf(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join(' ')).digest('hex');
}
