// The traffic of the forwarder's tests: from a container of this node to one of a peer, and back.
import { at, get16 } from './packets.ts';

export const OUT = { source: '10.5.1.7', destination: '10.5.2.9' };
export const IN = { source: '10.5.2.9', destination: '10.5.1.7' };

/** Bytes each of which differs from its neighbours. */
export function data(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

/** The packet after one more hop. */
export function oneHopLess(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[8] = (at(copy, 8) - 1) & 255;
  const sum = get16(copy, 10) + 0x100;
  const folded = (sum & 0xffff) + (sum >> 16);
  copy[10] = folded >> 8;
  copy[11] = folded & 255;
  return copy;
}
