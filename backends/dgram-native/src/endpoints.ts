// Endpoints of both families in the form that the kernel reads and writes (struct sockaddr_in, struct sockaddr_in6).
import { formatAddress, parseAddress } from './address.ts';
import { checkRange } from './arena.ts';
import type { Arena, Endpoints } from './contract.ts';
import { ENDPOINT, swap16 } from './layout.ts';
import { AF_INET, AF_INET6 } from './numbers.ts';

/** Bytes that hold an endpoint of either family. */
export const ENDPOINT_BYTES: number = ENDPOINT.bytes;

/** The bytes of a block in two sizes. */
interface Views {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
}

/** Writes an endpoint at an offset that is a multiple of 2. Throws a RangeError where address or port is none. */
export function writeEndpoint({ u8, u16 }: Views, at: number, address: string, port: number): void {
  const bytes = parseAddress(address);
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`${port} is not a port from 0 to 65535`);
  }
  const isIpv4 = bytes.length === 4;
  u8.fill(0, at, at + ENDPOINT.bytes);
  u16[(at + ENDPOINT.family) >>> 1] = isIpv4 ? AF_INET : AF_INET6;
  u16[(at + ENDPOINT.port) >>> 1] = swap16(port);
  u8.set(bytes, at + (isIpv4 ? ENDPOINT.ipv4 : ENDPOINT.ipv6));
}

/** Makes the functions that write and read endpoints in an arena. */
export function createEndpoints(arena: Arena): Endpoints {
  const { u8, u16, u32, byteLength } = arena;

  const check = (at: number): void => {
    if ((at & 3) === 0 && at >= 0 && at <= byteLength - ENDPOINT.bytes) return;
    checkRange(arena, at, ENDPOINT.bytes);
    throw new RangeError(`an endpoint lies on a boundary of 4, not at ${at}`);
  };

  const isIpv4 = (at: number): boolean => u16[at >>> 1] === AF_INET;

  return {
    set(at, address, port) {
      check(at);
      writeEndpoint(arena, at, address, port);
    },
    setIpv4(at, address, port) {
      check(at);
      u16[at >>> 1] = AF_INET;
      u16[(at + ENDPOINT.port) >>> 1] = swap16(port);
      u16[(at + ENDPOINT.ipv4) >>> 1] = swap16(address >>> 16);
      u16[(at + ENDPOINT.ipv4 + 2) >>> 1] = swap16(address);
    },
    equals(a, b) {
      // The family and the port are the first word.
      if (u32[a >>> 2] !== u32[b >>> 2]) return false;
      if (isIpv4(a)) return u32[(a + ENDPOINT.ipv4) >>> 2] === u32[(b + ENDPOINT.ipv4) >>> 2];
      for (let at = ENDPOINT.ipv6; at < ENDPOINT.bytes; at += 4) {
        if (u32[(a + at) >>> 2] !== u32[(b + at) >>> 2]) return false;
      }
      return true;
    },
    address(at) {
      const [offset, bytes] = isIpv4(at) ? [ENDPOINT.ipv4, 4] : [ENDPOINT.ipv6, 16];
      return formatAddress([...u8.subarray(at + offset, at + offset + bytes)]);
    },
    // In halves: a call may have to allocate a number from 2^31 that it takes or gives.
    ipv4(at) {
      if (!isIpv4(at)) return 0;
      const high = swap16(u16[(at + ENDPOINT.ipv4) >>> 1] as number);
      return (high << 16) | swap16(u16[(at + ENDPOINT.ipv4 + 2) >>> 1] as number);
    },
    port: (at) => swap16(u16[(at + ENDPOINT.port) >>> 1] as number),
  };
}
