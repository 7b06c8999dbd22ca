// The counters of the data plane, in shared memory: the thread that moves packets writes them and any other reads them,
// at no cost to the writer. There is one writer and no lock, so a number may be older than its neighbour.
/** The reasons to drop a packet. Inbound is from peers to this host. */
export const DROP_REASONS = [
  // Faults of its header.
  'short',
  'version',
  'header_length',
  'total_length',
  'checksum',
  // Inbound: the datagram's source port is not that of a node.
  'source_port',
  // Inbound: the datagram's sender is no peer.
  'stranger',
  // Inbound: the inner source is not the peer's.
  'spoofed',
  // Inbound: the inner destination is not in our subnet.
  'misdirected',
  // Inbound: the message was longer than the room for it.
  'truncated',
  // No hop is left.
  'hops',
  // No peer has the destination.
  'no_route',
  // It is larger than the path and forbids fragments.
  'too_big',
  // It has an offload that we did not ask for.
  'offload',
  // The kernel refused to send it to a peer.
  'send_refused',
  // The kernel had no room to send it at that moment.
  'send_full',
  // The kernel refused it on the TUN device.
  'tun_refused',
] as const satisfies readonly string[];

export type DropReason = (typeof DROP_REASONS)[number];

/** All counters, in the order of the shared memory. Packets are inner ones; bytes are theirs. */
const NAMES = [
  'sent_packets',
  'sent_bytes',
  /** Messages handed to the kernel, each of one datagram or of many of one size. */
  'sent_messages',
  /** The messages among them that had many. */
  'sent_segmented_messages',
  'send_calls',
  /** Packets read from the TUN device. */
  'tun_reads',
  /** The reads among them that brought a run of segments as one packet. */
  'tun_read_runs',
  'received_packets',
  'received_bytes',
  'received_messages',
  'received_coalesced_messages',
  'receive_calls',
  /** Packets written to the TUN device. */
  'tun_writes',
  /** The writes among them that wrote a run of packets as one. */
  'tun_written_runs',
  'icmp_time_exceeded',
  'icmp_unreachable',
  'icmp_too_big',
  /** ICMP errors that the rate limit held back. */
  'icmp_suppressed',
  'fragmented_packets',
  /** 1 once the kernel has refused runs of datagrams, which are cut by us since. */
  'segmentation_lost',
  /** Kinds of runs, TCP and UDP, that the TUN device turned out not to take. */
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
