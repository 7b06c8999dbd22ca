// What the data plane counts, in memory that the thread which moves packets writes and any other reads: reading costs
// it nothing. One writer, no locks; a number may be read a moment before its neighbour.
/** Why a packet went no further; the first five are faults of its header. Inbound is from peers to this host. */
export const DROP_REASONS = [
  'short',
  'version',
  'header_length',
  'total_length',
  'checksum',
  // Inbound: the datagram's sender is no peer; a peer sent what is not its own; not for our subnet; larger than a
  // datagram.
  'stranger',
  'spoofed',
  'misdirected',
  'truncated',
  // No hop left; nobody has the destination; larger than the path and not to be fragmented.
  'hops',
  'no_route',
  'too_big',
  // An offload that we did not ask for.
  'offload',
  // The kernel refused it: on the way to a peer, or into the TUN device; or it had no room at that moment.
  'send_refused',
  'send_full',
  'tun_refused',
] as const satisfies readonly string[];

export type DropReason = (typeof DROP_REASONS)[number];

/** Everything that is counted, in the order of the shared memory. Packets are inner ones; bytes are theirs. */
const NAMES = [
  'sent_packets',
  'sent_bytes',
  /** Messages handed to the kernel, each of one datagram or of many of one size; and how many of them were of many. */
  'sent_messages',
  'sent_segmented_messages',
  'send_calls',
  /** Reads from the TUN device, and how many of them brought a run of segments as one packet. */
  'tun_reads',
  'tun_read_runs',
  'received_packets',
  'received_bytes',
  'received_messages',
  'received_coalesced_messages',
  'receive_calls',
  /** Writes to the TUN device, and how many of them put a run of packets in as one. */
  'tun_writes',
  'tun_written_runs',
  'icmp_time_exceeded',
  'icmp_unreachable',
  'icmp_too_big',
  /** Not sent, as too many were due at a time. */
  'icmp_suppressed',
  'fragmented_packets',
  /** 1 once the kernel refused runs of datagrams on this way, and each goes by itself. */
  'segmentation_lost',
  /** How many kinds of runs, TCP and UDP, the TUN device turned out not to take. */
  'merging_lost',
  /** Tables of peers taken over. */
  'peer_updates',
  ...DROP_REASONS.map((reason) => `dropped_${reason}` as const),
] as const;

export type CounterName = (typeof NAMES)[number];

/** Place of each counter. */
export const COUNTER: Readonly<Record<CounterName, number>> = Object.freeze(
  Object.fromEntries(NAMES.map((name, index) => [name, index])),
) as Record<CounterName, number>;

const DROP: Readonly<Record<DropReason, number>> = Object.freeze(
  Object.fromEntries(DROP_REASONS.map((reason) => [reason, COUNTER[`dropped_${reason}`]])),
) as Record<DropReason, number>;

/** Memory for all counters, at 0. */
export function createCounterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(NAMES.length * Float64Array.BYTES_PER_ELEMENT);
}

/** The writer's side. */
export interface Counters {
  add(counter: number, amount: number): void;
  drop(reason: DropReason): void;
}

export function createCounters(memory: SharedArrayBuffer): Counters {
  // Doubles count to 2^53 without loss, and 64-bit stores are whole on every machine that we run on.
  const values = new Float64Array(memory);
  const add = (counter: number, amount: number): void => {
    values[counter] = (values[counter] as number) + amount;
  };
  return { add, drop: (reason) => add(DROP[reason], 1) };
}

/** The reader's side: all counters by name. */
export function readCounters(memory: SharedArrayBuffer): Record<CounterName, number> {
  const values = new Float64Array(memory);
  return Object.fromEntries(NAMES.map((name, index) => [name, values[index]])) as Record<CounterName, number>;
}
