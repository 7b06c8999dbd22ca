// Sends ICMP errors about packets that go no further: to our own host through the TUN device, or to the peer that sent
// the packet. Their rate is limited.
import type { PacketFile } from 'dgram-native';
import { COUNTER, type Counters } from './counters.ts';
import { LIMITS } from './limits.ts';
import type { Sum } from './packets/checksum.ts';
import {
  FRAGMENTATION_NEEDED,
  ICMP_ERROR_BYTES,
  type IcmpError,
  mayAnswer,
  NET_UNREACHABLE,
  TIME_EXCEEDED,
  writeIcmpError,
} from './packets/icmp.ts';
import { OFFLOAD, writePlainOffload } from './packets/offload-header.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import { createTokenBucket } from './packets/token-bucket.ts';
import type { Singles } from './singles.ts';

export interface Reporter {
  /** Reports about the packet at `at`, whose header is good, to our own host, which sent it. */
  toHost(error: IcmpError, at: number, length: number, mtuBytes?: number): void;
  /** Reports about a packet to the peer with this public address, which sent it. */
  toPeer(error: IcmpError, at: number, length: number, address: number): void;
}

export interface ReporterParts {
  readonly memory: PacketMemory;
  readonly sum: Sum;
  readonly file: PacketFile;
  readonly singles: Singles;
  readonly counters: Counters;
  readonly nowMs: () => number;
  /** `REPORT_ROOM` bytes on a boundary of 16. */
  readonly roomAt: number;
  /**
   * Source of errors to our own host. It cannot be our own address: the kernel drops packets that claim to come from
   * itself. The first address of the network belongs to no host and is routed to the TUN device, so it passes every
   * check of the source.
   */
  readonly sourceToHost: number;
  /** Source of errors to peers: an address in our subnet, as their admission wants it. */
  readonly sourceToPeers: number;
}

/** Bytes of its memory. */
export const REPORT_ROOM: number = 16 + ICMP_ERROR_BYTES;

const COUNTED = new Map<IcmpError, number>([
  [TIME_EXCEEDED, COUNTER.icmp_time_exceeded],
  [NET_UNREACHABLE, COUNTER.icmp_unreachable],
  [FRAGMENTATION_NEEDED, COUNTER.icmp_too_big],
]);

export function createReporter(parts: ReporterParts): Reporter {
  const { memory, sum, file, singles, counters, nowMs, roomAt, sourceToHost, sourceToPeers } = parts;
  const bucket = createTokenBucket(LIMITS.icmp);
  const messageAt = roomAt + 16;

  // Writes a message and gives its length; 0: none may be sent.
  const write = (error: IcmpError, at: number, length: number, source: number, mtuBytes: number): number => {
    if (!mayAnswer(memory, at, length)) return 0;
    if (!bucket.take(nowMs())) {
      counters.add(COUNTER.icmp_suppressed, 1);
      return 0;
    }
    counters.add(COUNTED.get(error) ?? COUNTER.icmp_suppressed, 1);
    return writeIcmpError(memory, sum, messageAt, error, { at, length }, source, mtuBytes);
  };

  return {
    toHost(error, at, length, mtuBytes = 0) {
      const bytes = write(error, at, length, sourceToHost, mtuBytes);
      if (bytes === 0) return;
      writePlainOffload(memory, roomAt);
      file.clear();
      file.append(roomAt, OFFLOAD.bytes);
      file.append(messageAt, bytes);
      if (file.write() < 0) counters.drop('tun_refused');
    },
    toPeer(error, at, length, address) {
      const bytes = write(error, at, length, sourceToPeers, 0);
      if (bytes === 0) return;
      singles.add(address, 0, 0, messageAt, bytes);
      singles.flush();
    },
  };
}
