// From the peers to the TUN device: receives datagrams, admits each that is a good packet of a peer for our subnet, and
// writes the packets, merged into runs.
import type { Endpoints, Receiver } from 'dgram-native';
import type { Coalescer } from './coalescer.ts';
import { COUNTER, type Counters } from './counters.ts';
import { createFailureLimit } from './failures.ts';
import { findAdmissionFault, type OwnSubnet, type PeerAddresses } from './packets/admission.ts';
import { TIME_EXCEEDED } from './packets/icmp.ts';
import { findHeaderFault, IPV4, takeHop } from './packets/ipv4.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import type { Reporter } from './reporter.ts';

export interface InboundParts {
  readonly memory: PacketMemory;
  readonly receiver: Receiver;
  readonly endpoints: Endpoints;
  readonly coalescer: Coalescer;
  readonly reporter: Pick<Reporter, 'toPeer'>;
  readonly routes: PeerAddresses;
  readonly own: OwnSubnet;
  /** The port of every node. */
  readonly port: number;
  readonly counters: Counters;
}

export interface Inbound {
  /** Receives at most so many times, and gives how many receives were full. Fewer mean that nothing is left. */
  turn(receives: number): number;
}

// Messages of so many bytes on average are long runs. They are received a few at a time, so that the processor's cache
// still has them when they are checked and written.
const BULK_BYTES = 16_384;
const BULK_MESSAGES = 2;

export function createInbound(parts: InboundParts): Inbound {
  const { memory, receiver, endpoints, coalescer, reporter, routes, own, port, counters } = parts;
  const { view } = memory;
  const { capacity } = receiver;
  const fail = createFailureLimit('the UDP socket');
  // Counted here and added to the counters once a receive.
  let packets = 0;
  let bytes = 0;
  // Whether the last messages were long runs.
  let isBulk = false;
  // The sender of the run that is being merged.
  let runSender = 0;

  const datagram = (at: number, length: number, sender: number): void => {
    // A packet that continues the run was checked with the run's first one. Asking this first is what makes runs cheap.
    if (coalescer.joinAdmitted(at, length)) {
      packets++;
      bytes += length;
      return;
    }
    const fault = findHeaderFault(memory, at, length) ?? findAdmissionFault(memory, at, sender, routes, own);
    if (fault !== undefined) {
      counters.drop(fault);
      return;
    }
    const total = view.getUint16(at + IPV4.totalLength);
    if (!takeHop(memory, at)) {
      counters.drop('hops');
      reporter.toPeer(TIME_EXCEEDED, at, total, sender);
      return;
    }
    packets++;
    bytes += total;
    coalescer.begin(at, total);
  };

  const message = (i: number): void => {
    if (receiver.isTruncated(i)) {
      counters.drop('truncated');
      return;
    }
    const source = receiver.source(i);
    // A node sends from the port that it receives at, as flannel does. Any other program on the host of a peer, or a
    // container behind its address, has another port. A packet without this check could also join a run.
    if (endpoints.port(source) !== port) {
      counters.drop('source_port');
      return;
    }
    const sender = endpoints.ipv4(source);
    // The checks of the run's first packet hold for packets of the same sender only.
    if (sender !== runSender) coalescer.flush();
    runSender = sender;
    const segmentBytes = receiver.segmentBytes(i);
    let at = receiver.offset(i);
    const end = at + receiver.length(i);
    if (end - at > segmentBytes) counters.add(COUNTER.received_coalesced_messages, 1);
    // An empty datagram counts as a drop too.
    do {
      const left = end - at;
      datagram(at, left < segmentBytes ? left : segmentBytes, sender);
      at += segmentBytes;
    } while (at < end && segmentBytes > 0);
  };

  return {
    turn(receives) {
      for (let done = 0; done < receives; done++) {
        const most = isBulk ? BULK_MESSAGES : capacity;
        const count = receiver.receive(most);
        if (count < 0) fail(-count);
        if (count <= 0) return done;
        for (let i = 0; i < count; i++) message(i);
        // The next receive overwrites these packets.
        coalescer.flush();
        isBulk = bytes > count * BULK_BYTES;
        counters.add(COUNTER.receive_calls, 1);
        counters.add(COUNTER.received_messages, count);
        counters.add(COUNTER.received_packets, packets);
        counters.add(COUNTER.received_bytes, bytes);
        packets = 0;
        bytes = 0;
        if (count < most) return done;
      }
      return receives;
    },
  };
}
