// Sends forged packets to tunnel ports, as a program on a host or in a container does that means harm.

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

/** The command line of a program that sends the datagram three times. It succeeds where the kernel refuses that. */
export function forge(datagram: ForgedDatagram): readonly [string, ...string[]] {
  const { to, port, payload, from, isUnprivileged = false } = datagram;
  const program = `
    const socket = require('node:dgram').createSocket('udp4');
    const payload = Buffer.from('${Buffer.from(payload).toString('hex')}', 'hex');
    let left = 3;
    const next = () => (left-- > 0 ? socket.send(payload, ${port}, '${to}', next) : socket.close());
    if (${isUnprivileged}) process.setuid(65534);
    socket.bind(${from?.port ?? 0}, '${from?.address ?? '0.0.0.0'}', next);`;
  return [process.execPath, '-e', program];
}

/** A VXLAN packet: an Ethernet frame in the network of this number. */
export function vxlanPacket(vni: number, frame: Uint8Array = new Uint8Array(60)): Uint8Array {
  return Uint8Array.from([8, 0, 0, 0, vni >> 16, (vni >> 8) & 0xff, vni & 0xff, 0, ...frame]);
}
