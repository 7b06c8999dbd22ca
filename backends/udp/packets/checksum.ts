// The Internet checksum (RFC 1071): words of 16 bits are added, and carries out of the top are added at the bottom.
//
// Words are added in the machine's order, not the network's: the sum of swapped words is the swapped sum. So a sum is
// read from and written to packets as a little-endian number, and a number that does not come from a packet, such as a
// length, is swapped before it is added.
import type { WasmMemory } from 'dgram-native';
import { checksumModule } from './checksum-module.ts';
import type { PacketMemory } from './packet-memory.ts';

// The compiler declares WebAssembly for browsers only; these are the parts used here.
interface WasmModule {
  readonly isWasmModule: true;
}
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: { readonly e: { readonly m: WasmMemory } },
  ) => { readonly exports: Readonly<Record<string, unknown>> };
};

/**
 * The sum of `length` bytes (at most 65,536) from any place, folded to 16 bits; an odd byte counts as followed by 0.
 */
export type Sum = (at: number, length: number) => number;

/** The fastest sum over this memory that the machine has. */
export function createSum(shared: WasmMemory, memory: PacketMemory): Sum {
  return createSimdSum(shared) ?? createPlainSum(memory);
}

/** A sum with WebAssembly's vectors; undefined where the machine has none. */
export function createSimdSum(shared: WasmMemory): Sum | undefined {
  const module = checksumModule();
  if (!WebAssembly.validate(module)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module), { e: { m: shared } });
  return exports['sum'] as Sum;
}

/** A sum in plain JavaScript. Doubles add 2^20 words without loss, and four independent ones are added in parallel. */
export function createPlainSum({ view, bytes }: PacketMemory): Sum {
  return (at, length) => {
    let [a, b, c, d] = [0, 0, 0, 0];
    let left = length;
    for (; left >= 16; left -= 16, at += 16) {
      a += view.getUint32(at, true);
      b += view.getUint32(at + 4, true);
      c += view.getUint32(at + 8, true);
      d += view.getUint32(at + 12, true);
    }
    for (; left >= 2; left -= 2, at += 2) a += view.getUint16(at, true);
    if (left > 0) a += bytes[at] as number;
    const sum = a + b + c + d;
    const high = Math.floor(sum / 0x1_0000_0000);
    const low = sum - high * 0x1_0000_0000;
    return fold((low & 0xffff) + (low >>> 16) + (high & 0xffff) + (high >>> 16));
  };
}

/** The sum of an even number of bytes, for headers, which are too short for the call of the other one to pay. */
export function sumHeader({ view }: PacketMemory, at: number, length: number): number {
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += view.getUint16(i, true);
  return fold(sum);
}

/** Folds a sum of up to 65,536 words to 16 bits. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Swaps the bytes of a 16-bit number. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/**
 * The sum of the pseudo header: both addresses of the IPv4 packet, the protocol, the length of what follows its header.
 */
export function sumPseudoHeader(
  memory: PacketMemory,
  at: number,
  protocol: number,
  payloadBytes: number,
): number {
  return fold(sumHeader(memory, at + 12, 8) + (protocol << 8) + swap16(payloadBytes));
}
