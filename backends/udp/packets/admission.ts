// Who gets in. A datagram is believed only from the public address of a peer, and only if the packet inside comes from
// that peer's own subnet (a container, the bridge, or the address of its TUN device) or from that public address itself
// (a program on the host that is bound to it), and goes to our own subnet.
//
// Our public address is no destination here: peers reach it without the overlay, past this host's firewall rules for
// it. Our TUN device's and bridge's addresses are in our subnet.

import { addressAt, IPV4 } from './ipv4.ts';
import type { PacketMemory } from './packet-memory.ts';

/** Why a packet is not let in. */
export type AdmissionFault = 'stranger' | 'spoofed' | 'misdirected';

/** As much of the peers as admission asks. */
export interface PeerAddresses {
  lookup(address: number): number;
  isPublic(address: number): boolean;
}

/** Our own subnet, as signed 32-bit numbers. */
export interface OwnSubnet {
  readonly address: number;
  readonly mask: number;
}

/** Looks at the packet at `at`, whose header is known to be good, that came in a datagram from `sender`. */
export function findAdmissionFault(
  memory: PacketMemory,
  at: number,
  sender: number,
  peers: PeerAddresses,
  own: OwnSubnet,
): AdmissionFault | undefined {
  const source = addressAt(memory, at + IPV4.source);
  // A peer may have several subnets, so it is the subnet that says whose it is.
  if (peers.lookup(source) !== sender || sender === 0) {
    if (!peers.isPublic(sender)) return 'stranger';
    if (source !== sender) return 'spoofed';
  }
  return (addressAt(memory, at + IPV4.destination) & own.mask) === own.address ? undefined : 'misdirected';
}
