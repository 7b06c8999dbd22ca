// Hosts as people have them, and the underlay that is chosen on each: its link and address, the way of its packets, and
// the reason.
import { expect, it } from 'vitest';
import { chooseInterface, type InterfaceWish } from '../../../agent/kernel/external-interface.ts';
import type { HostNetwork } from '../../../agent/kernel/host-network.ts';
import { wayFrom } from '../../../agent/kernel/underlay-way.ts';
import { formatPrefix } from '../../../agent/model/ip.ts';
import { hostNetwork } from './ip-output.ts';

export const LO = `
  lo: <LOOPBACK,UP,LOWER_UP> mtu 65536
    inet 127.0.0.1/8 scope host`;
export const CONNECTED = '10.0.2.0/24 dev eth0 src 10.0.2.15';

/** Vagrant: the NAT of the hypervisor, and the network between the machines. */
export const VAGRANT = `${LO}
  eth0: <UP,LOWER_UP> mtu 1500 ether 52:54:00:00:00:01
    inet 10.0.2.15/24
  eth1: <UP,LOWER_UP> mtu 9000 ether 52:54:00:00:01:01
    inet 192.168.77.1/24
  default via 10.0.2.2 dev eth0 src 10.0.2.15 metric 100
  ${CONNECTED} metric 100
  192.168.77.0/24 dev eth1 src 192.168.77.1`;

/** A rack of hosts that speak BGP: /31 uplinks, and the host's address on lo. */
export const BGP = `
  lo: <LOOPBACK,UP,LOWER_UP> mtu 65536
    inet 127.0.0.1/8 scope host
    inet 10.99.0.1/32
  eth0: <UP,LOWER_UP> mtu 9000 ether 52:54:00:00:00:01
    inet 10.1.0.1/31
  eth1: <UP,LOWER_UP> mtu 1500 ether 52:54:00:00:01:01
    inet 10.1.0.3/31
  10.1.0.0/31 dev eth0 src 10.1.0.1
  10.1.0.2/31 dev eth1 src 10.1.0.3`;
export const BGP_WAY =
  'lo 10.99.0.1 mtu 1500 unbound on-link 10.1.0.0/31 eth0, 10.1.0.2/31 eth1 mac 52:54:00:00:00:01';

export const wish = (changes: Partial<InterfaceWish>): InterfaceWish => ({
  iface: [],
  ifaceRegex: [],
  ifaceCanReach: undefined,
  publicIP: undefined,
  ...changes,
});

/** `eth0 10.0.2.15 mtu 1500 on-link 10.0.2.0/24 mac 52:54:00:00:00:01: the default route`. */
export function choice(host: HostNetwork, changes: Partial<InterfaceWish>): string {
  const chosen = chooseInterface(wish(changes), host, undefined);
  const { underlay, onLink, mac } = wayFrom(host, chosen);
  const { name, mtuBytes, carriesPackets, hasCarrier } = underlay;
  const prefixes = onLink.map((each) => `${formatPrefix(each)}${each.dev === name ? '' : ` ${each.dev}`}`);
  return [
    `${name} ${chosen.address} mtu ${mtuBytes}`,
    ...(carriesPackets ? [] : ['unbound']),
    ...(hasCarrier ? [] : ['no carrier']),
    ...(prefixes.length > 0 ? [`on-link ${prefixes.join(', ')}`] : []),
    ...(mac === undefined ? [] : [`mac ${mac}`]),
  ]
    .join(' ')
    .concat(`: ${chosen.why}`);
}

export interface Row {
  readonly host: string;
  readonly ip: string;
  readonly flags?: Partial<InterfaceWish>;
  /** A beginning of the choice. */
  readonly chosen: string;
}

/** Makes a test of each row. */
export function itChooses(rows: readonly Row[]): void {
  it.each(rows)('the underlay is chosen: $host', ({ ip, flags = {}, chosen }) => {
    expect(choice(hostNetwork(ip), flags).slice(0, chosen.length)).toBe(chosen);
  });
}
