// Cuts a packet that stands for a run as the kernel does, in plain code: the reference for segmenting and coalescing.
import { at, get16, get32, naiveSum, put16, put32 } from './packets.ts';

/** The packets of a packet with its offload header of ten bytes before it, complete checksums and all. */
export function expand(withHeader: Uint8Array): Uint8Array[] {
  const header = withHeader.subarray(0, 10);
  const packet = withHeader.slice(10);
  const type = at(header, 1) & 0x7f;
  const start = little(header, 6);
  const offset = little(header, 8);
  if (type === 0) {
    if ((at(header, 0) & 1) !== 0) complete(packet, start, offset);
    return [packet];
  }
  const segmentBytes = little(header, 4);
  const isTcp = type === 1;
  const headerBytes = isTcp ? start + (at(packet, start + 12) >> 4) * 4 : start + 8;
  if (little(header, 2) !== headerBytes) throw new Error(`header length ${little(header, 2)}`);
  const hasEcn = (at(header, 1) & 0x80) !== 0;
  if (isTcp && hasEcn !== ((at(packet, start + 13) & 0x80) !== 0)) throw new Error('CWR without ECN');
  const all: Uint8Array[] = [];
  const id = get16(packet, 4);
  for (let from = headerBytes; from < packet.length; from += segmentBytes) {
    const part = packet.subarray(from, Math.min(from + segmentBytes, packet.length));
    const one = new Uint8Array([...packet.subarray(0, headerBytes), ...part]);
    put16(one, 2, one.length);
    put16(one, 4, (id + all.length) & 0xffff);
    put16(one, 10, 0);
    put16(one, 10, ~naiveSum(one.subarray(0, (at(one, 0) & 15) * 4)) & 0xffff);
    if (isTcp) {
      put32(one, start + 4, (get32(packet, start + 4) + from - headerBytes) >>> 0);
      const isFirst = from === headerBytes;
      const isLast = from + segmentBytes >= packet.length;
      one[start + 13] = at(packet, start + 13) & (isFirst ? 0xff : 0x7f) & (isLast ? 0xff : 0xf6);
    } else {
      put16(one, start + 4, one.length - start);
    }
    seed(one, start, offset);
    complete(one, start, offset);
    all.push(one);
  }
  return all;
}

// The pseudo header's sum, where the kernel finds it.
function seed(packet: Uint8Array, start: number, offset: number): void {
  const length = packet.length - start;
  const pseudo = [...packet.subarray(12, 20), 0, at(packet, 9), length >> 8, length & 0xff];
  put16(packet, start + offset, naiveSum(Uint8Array.from(pseudo)));
}

function complete(packet: Uint8Array, start: number, offset: number): void {
  const sum = ~naiveSum(packet.subarray(start)) & 0xffff;
  put16(packet, start + offset, sum === 0 ? 0xffff : sum);
}

function little(bytes: Uint8Array, offset: number): number {
  return at(bytes, offset) | (at(bytes, offset + 1) << 8);
}

/** A packet that stands for a run, as a TUN device gives it: one header, all the payload, and only the pseudo sum. */
export function runOf(packet: Uint8Array, segmentBytes: number): Uint8Array {
  const run = packet.slice();
  const start = (at(run, 0) & 15) * 4;
  const isTcp = at(run, 9) === 6;
  const offset = isTcp ? 16 : 6;
  seed(run, start, offset);
  const headerBytes = isTcp ? start + (at(run, start + 12) >> 4) * 4 : start + 8;
  const ecn = isTcp && (at(run, start + 13) & 0x80) !== 0 ? 0x80 : 0;
  const fields = [headerBytes, segmentBytes, start, offset].flatMap((n) => [n & 0xff, n >> 8]);
  return Uint8Array.from([1, (isTcp ? 1 : 5) | ecn, ...fields, ...run]);
}
