// Sends ICMP errors about packets that go no further: to our own host through the TUN device, or back to the peer that
// sent the packet. At most so many a second.
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
import type { Outbox } from './packets/outbox.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import { createTokenBucket } from './packets/token-bucket.ts';

export interface Reporter {
  /** About the packet at `at`, whose header is good, that our own host sent. */
  toHost(error: IcmpError, at: number, length: number, mtuBytes?: number): void;
  /** About one that came from the peer with this public address. Nothing may wait in the outbox. */
  toPeer(error: IcmpError, at: number, length: number, address: number): void;
}

export interface ReporterParts {
  readonly memory: PacketMemory;
  readonly sum: Sum;
  readonly file: PacketFile;
  readonly outbox: Pick<Outbox, 'add' | 'flush'>;
  readonly counters: Counters;
  readonly nowMs: () => number;
  /** `REPORT_ROOM` bytes on a boundary of 16. */
  readonly roomAt: number;
  /**
   * Who speaks to our own host. Not our own address: the kernel throws away what claims to come from itself. The first
   * address of the network is nobody's and routed to the TUN device, so it passes every check of the source.
   */
  readonly networkAddress: number;
  /** Who speaks to peers: an address in our subnet. */
  readonly tunnelAddress: number;
}

/** Room that a reporter needs. */
export const REPORT_ROOM: number = 16 + ICMP_ERROR_BYTES;

const COUNTED = new Map<IcmpError, number>([
  [TIME_EXCEEDED, COUNTER.icmp_time_exceeded],
  [NET_UNREACHABLE, COUNTER.icmp_unreachable],
  [FRAGMENTATION_NEEDED, COUNTER.icmp_too_big],
]);

export function createReporter(parts: ReporterParts): Reporter {
  const { memory, sum, file, outbox, counters, nowMs, roomAt, networkAddress, tunnelAddress } = parts;
  const bucket = createTokenBucket(LIMITS.icmp);
  const messageAt = roomAt + 16;

  // Length of the message; 0: none is due.
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
      const bytes = write(error, at, length, networkAddress, mtuBytes);
      if (bytes === 0) return;
      writePlainOffload(memory, roomAt);
      file.clear();
      file.append(roomAt, OFFLOAD.bytes);
      file.append(messageAt, bytes);
      if (file.write() < 0) counters.drop('tun_refused');
    },
    toPeer(error, at, length, address) {
      const bytes = write(error, at, length, tunnelAddress, 0);
      if (bytes === 0) return;
      outbox.add(address, 0, messageAt, bytes);
      outbox.flush();
    },
  };
}
