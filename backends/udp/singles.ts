// Sends single datagrams past the outbox: fragments, the parts of a refused run, and ICMP errors to peers. They are
// rare, and have a sender of their own, so that the outbox's refused messages stay readable meanwhile.
import { ENDPOINT_BYTES, type Endpoints, type Sender } from 'dgram-native';
import { COUNTER, type Counters, type DropReason } from './counters.ts';
import { EAGAIN, EMSGSIZE, ENOBUFS, ENOMEM } from './errnos.ts';

export interface Singles {
  /**
   * Adds a datagram to the public address of a peer: a header of `headerBytes` (0: none) and a payload, which have to
   * stay as they are until `flush`. Counts it as sent.
   */
  add(address: number, headerAt: number, headerBytes: number, payloadAt: number, payloadBytes: number): void;
  /** Sends the datagrams that were added; afterwards their bytes may change. */
  flush(): void;
}

export interface SinglesParts {
  readonly sender: Sender;
  readonly endpoints: Endpoints;
  /** Memory for as many endpoints as the sender takes messages. */
  readonly endpointsAt: number;
  readonly port: number;
  readonly counters: Counters;
}

export function createSingles({ sender, endpoints, endpointsAt, port, counters }: SinglesParts): Singles {
  const flush = (): void => {
    const refused = sender.flush();
    for (let i = 0; i < refused; i++) counters.drop(reasonOf(sender.refusedErrno(i)));
  };

  return {
    add(address, headerAt, headerBytes, payloadAt, payloadBytes) {
      if (sender.freeMessages() === 0 || sender.freePieces() < 2) flush();
      const endpoint = endpointsAt + (sender.capacity - sender.freeMessages()) * ENDPOINT_BYTES;
      endpoints.setIpv4(endpoint, address, port);
      sender.begin(endpoint, 0);
      if (headerBytes > 0) sender.append(headerAt, headerBytes);
      sender.append(payloadAt, payloadBytes);
      counters.add(COUNTER.sent_packets, 1);
      counters.add(COUNTER.sent_bytes, headerBytes + payloadBytes);
    },
    flush,
  };
}

/** The reason under which a datagram is counted that the kernel refused to send. */
export function reasonOf(errno: number): DropReason {
  if (errno === EMSGSIZE) return 'too_big';
  return errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM ? 'send_full' : 'send_refused';
}
