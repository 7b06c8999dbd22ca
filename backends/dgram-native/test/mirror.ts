// The mirror: packets that this machine sends to an address behind a TUN device come back with their addresses
// exchanged, as if the other one had sent them. Checksums stay right, complete or not, as a sum does not depend on its
// order.
import { type AddressInfo, connect, createServer } from 'node:net';
import { type Arena, createArena, createPacketFile, type PacketFile, type Tun } from '../src/index.ts';

export const HEADER_BYTES = 10;
export const PACKET_BYTES = 65_536 + HEADER_BYTES;

export interface Mirror {
  readonly arena: Arena;
  readonly file: PacketFile;
  /** The number of packets of each kind of run (0: none) that went through. */
  readonly kinds: Map<number, number>;
  /** Mirrors at most `most` packets, and gives their number. */
  reflect(most: number): number;
}

export function createMirror(tun: Tun): Mirror {
  const arena = createArena(1 << 20);
  const file = createPacketFile(arena, tun.fd, 2);
  const at = arena.reserve(PACKET_BYTES);
  const kinds = new Map<number, number>();
  return {
    arena,
    file,
    kinds,
    reflect(most) {
      for (let n = 0; n < most; n += 1) {
        const bytes = file.read(at, PACKET_BYTES);
        if (bytes < 0) throw new Error(`read gave ${bytes}`);
        if (bytes === 0) return n;
        const packet = at + HEADER_BYTES;
        // The kernel sends IPv6 packets to new devices by itself.
        if ((arena.u8[packet] ?? 0) >> 4 !== 4) continue;
        const kind = (arena.u8[at + 1] ?? 0) & 0x7f;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        const source = arena.u8.slice(packet + 12, packet + 16);
        arena.u8.copyWithin(packet + 12, packet + 16, packet + 20);
        arena.u8.set(source, packet + 16);
        file.append(at, HEADER_BYTES);
        file.append(packet, bytes - HEADER_BYTES);
        if (file.write() !== bytes) throw new Error('a packet was not taken');
      }
      return most;
    },
  };
}

/**
 * Sends bytes to 10.98.0.2, so that they arrive at 10.98.0.1, which is ours. Gives the bytes that arrived unchanged.
 */
export async function streamThrough(mirror: Mirror, bytes: number): Promise<number> {
  const chunk = Buffer.from(
    Array.from({ length: 251 * 256 }, (_, i) => (i * 7 + Math.floor(i / 251)) & 0xff),
  );
  const server = createServer({ allowHalfOpen: true }).listen(0, '10.98.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  let good = 0;
  let isOver = false;
  server.once('connection', (socket) => {
    socket.on('data', (data) => {
      for (let at = 0; at < data.length; ) {
        const from = good % chunk.length;
        const length = Math.min(data.length - at, chunk.length - from);
        if (data.compare(chunk, from, from + length, at, at + length) !== 0) return socket.destroy();
        good += length;
        at += length;
      }
      if (good >= bytes) isOver = true;
    });
    socket.on('close', () => {
      isOver = true;
    });
  });
  const client = connect({ host: '10.98.0.2', port: (server.address() as AddressInfo).port });
  let sent = 0;
  const send = (): void => {
    while (sent < bytes) {
      const part = chunk.subarray(0, Math.min(chunk.length, bytes - sent));
      sent += part.length;
      if (!client.write(part)) return;
    }
  };
  client.on('connect', send).on('drain', send);
  const endMs = performance.now() + 20_000;
  try {
    while (!isOver && performance.now() < endMs) {
      mirror.reflect(64);
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    client.destroy();
    server.close();
  }
  return good;
}
