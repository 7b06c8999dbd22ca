// Sends forged packets to tunnel ports, as a program on a host or in a container does that means harm.
import { addressBytes } from '../../agent/model/ip.ts';

/** Copies of a datagram that are sent. */
export const FORGED = 3;

/** A datagram, and who sends it. */
export interface ForgedDatagram {
  readonly to: string;
  readonly port: number;
  readonly payload: Uint8Array;
  /** Default: the system chooses. */
  readonly from?: { readonly address: string; readonly port?: number };
  /** Sent by a user without rights. Default: by root. */
  readonly isUnprivileged?: boolean;
}

/** The command line of a program that sends the datagram `FORGED` times. It succeeds where the kernel refuses that. */
export function forge(datagram: ForgedDatagram): readonly [string, ...string[]] {
  const { to, port, payload, from, isUnprivileged = false } = datagram;
  const program = `
    const socket = require('node:dgram').createSocket('udp4');
    const payload = Buffer.from('${Buffer.from(payload).toString('hex')}', 'hex');
    let left = ${FORGED};
    const next = () => (left-- > 0 ? socket.send(payload, ${port}, '${to}', next) : socket.close());
    if (${isUnprivileged}) process.setuid(65534);
    socket.bind(${from?.port ?? 0}, '${from?.address ?? '0.0.0.0'}', next);`;
  return [process.execPath, '-e', program];
}

/** A VXLAN packet: an Ethernet frame in the network of this number. */
export function vxlanPacket(vni: number, frame: Uint8Array = new Uint8Array(60)): Uint8Array {
  return Uint8Array.from([8, 0, 0, 0, vni >> 16, (vni >> 8) & 0xff, vni & 0xff, 0, ...frame]);
}

/** An Ethernet frame with an IPv4 packet. */
export function frame(toMac: string, packet: Uint8Array): Uint8Array {
  const mac = toMac.split(':').map((byte) => Number.parseInt(byte, 16));
  return Uint8Array.from([...mac, 2, 0, 0, 0, 0, 9, 8, 0, ...packet]);
}

/** A UDP packet from one container to port 5300 of another. */
export function innerPacket(source: string, destination: string): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set([
    0x45,
    0,
    0,
    32,
    0,
    1,
    0,
    0,
    64,
    17,
    0,
    0,
    ...addressBytes(source),
    ...addressBytes(destination),
  ]);
  bytes.set([0x30, 0x39, 0x14, 0xb4, 0, 12, 0, 0, 1, 2, 3, 4], 20);
  const packet = new DataView(bytes.buffer);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += packet.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.setUint16(10, ~sum & 0xffff);
  return bytes;
}
