// Admission of inbound packets. A datagram is admitted only from the public address of a peer, and only if the packet
// in it goes to our own subnet and comes from that peer's subnet (a container, the bridge, or the address of its TUN
// device) or from that public address itself (a program on the host that is bound to it).
//
// Our public address is no destination here: peers reach it without the overlay, and the overlay would carry them past
// this host's firewall rules for it. Our TUN device's and bridge's addresses are in our subnet.

import { addressAt, IPV4 } from './ipv4.ts';
import type { PacketMemory } from './packet-memory.ts';

/** Why a packet is not admitted. */
export type AdmissionFault = 'stranger' | 'spoofed' | 'misdirected';

/** The questions that admission asks about peers. */
export interface PeerAddresses {
  lookup(address: number): number;
  isPublic(address: number): boolean;
}

/** Our own subnet, as signed 32-bit numbers. */
export interface OwnSubnet {
  readonly address: number;
  readonly mask: number;
}

/** Checks the packet at `at`, whose header is good, and which came in a datagram from `sender`. */
export function findAdmissionFault(
  memory: PacketMemory,
  at: number,
  sender: number,
  peers: PeerAddresses,
  own: OwnSubnet,
): AdmissionFault | undefined {
  const source = addressAt(memory, at + IPV4.source);
  // A peer may have several subnets: the lookup goes from the subnet to the peer.
  if (peers.lookup(source) !== sender || sender === 0) {
    if (!peers.isPublic(sender)) return 'stranger';
    if (source !== sender) return 'spoofed';
  }
  return (addressAt(memory, at + IPV4.destination) & own.mask) === own.address ? undefined : 'misdirected';
}
