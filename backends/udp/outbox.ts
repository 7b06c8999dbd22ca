// Datagrams that are about to leave, gathered into as few messages and system calls as possible. Datagrams of one size
// in a row to one peer are one message, which the kernel or the network card cuts apart again; the sender does where
// they cannot. Messages to different peers leave in one call. A datagram is one or two pieces of the memory, a header
// and a payload, which have to stay as they are until the next flush.
//
// It also handles refusals: a datagram that does not fit its path is handed to `oversize`.
import { ENDPOINT_BYTES, type Endpoints, MAX_RUN_BYTES, MAX_RUN_DATAGRAMS, type Sender } from 'dgram-native';
import { COUNTER, type Counters } from './counters.ts';
import { EMSGSIZE } from './errnos.ts';
import type { Oversize } from './oversize.ts';
import { type DatagramSink, HEADER_ROOM } from './packets/segment.ts';
import type { PathLimits } from './path-limits.ts';
import { reasonOf, type Singles } from './singles.ts';

export interface Outbox extends DatagramSink {
  /** Sends the datagrams that were added, and forgets them. */
  flush(): void;
}

export interface OutboxParts {
  readonly sender: Sender;
  readonly endpoints: Endpoints;
  /** Memory for as many endpoints as the sender takes messages. */
  readonly endpointsAt: number;
  readonly port: number;
  readonly counters: Counters;
  readonly paths: PathLimits;
  readonly singles: Singles;
  readonly oversize: Oversize;
  /** Memory for the headers of `capacity` datagrams, on a boundary of 16. */
  readonly headersAt: number;
  readonly capacity: number;
}

// Numbers that other files export would be looked up for each datagram.
const ROOM = HEADER_ROOM;
const MOST_DATAGRAMS = MAX_RUN_DATAGRAMS;
const MOST_BYTES = MAX_RUN_BYTES;

export function createOutbox(parts: OutboxParts): Outbox {
  const { sender, endpoints, endpointsAt, port, counters, paths, singles, oversize, headersAt, capacity } =
    parts;
  if (sender.pieceCapacity < 2 * capacity)
    throw new Error('the sender has no room for two pieces a datagram');
  const mostMessages = sender.capacity;
  const headersEnd = headersAt + capacity * ROOM;
  // The peer and the largest datagram of each message, for the case that it is refused.
  const addresses = new Int32Array(mostMessages);
  const sizes = new Int32Array(mostMessages);
  let datagrams = 0;
  let bytes = 0;
  let messages = 0;
  let segmentedMessages = 0;
  // The last message. A `segmentBytes` of -1 says that it is complete.
  let address = 0;
  let segmentBytes = -1;
  let messageDatagrams = 0;
  let messageBytes = 0;

  // Of a run that does not fit its path, the datagrams that do, such as a short end, are sent singly. The kernel may
  // have sent them already: then they arrive twice.
  const takeRefusal = (refused: number): void => {
    const peer = addresses[sender.refusedMessage(refused)] as number;
    const errno = sender.refusedErrno(refused);
    const largest = sizes[sender.refusedMessage(refused)] as number;
    const limit = errno === EMSGSIZE ? paths.learn(peer, largest) : undefined;
    const pieces = sender.refusedPieces(refused);
    for (let piece = 0; piece < pieces; ) {
      const first = piece;
      const firstAt = sender.refusedOffset(refused, piece);
      const hasHeader = firstAt >= headersAt && firstAt < headersEnd;
      const headerBytes = hasHeader ? sender.refusedLength(refused, piece++) : 0;
      const payloadAt = sender.refusedOffset(refused, piece);
      const payloadBytes = sender.refusedLength(refused, piece++);
      const size = headerBytes + payloadBytes;
      counters.add(COUNTER.sent_packets, -1);
      counters.add(COUNTER.sent_bytes, -size);
      const isRun = first > 0 || piece < pieces;
      if (limit !== undefined && size > limit) {
        oversize(peer, firstAt, headerBytes, payloadAt, payloadBytes, limit);
      } else if (limit !== undefined && isRun) {
        singles.add(peer, firstAt, headerBytes, payloadAt, payloadBytes);
      } else {
        counters.drop(reasonOf(errno));
      }
    }
  };

  const flush = (): void => {
    if (datagrams === 0) return;
    counters.add(COUNTER.sent_packets, datagrams);
    counters.add(COUNTER.sent_bytes, bytes);
    counters.add(COUNTER.sent_messages, messages);
    counters.add(COUNTER.sent_segmented_messages, segmentedMessages);
    counters.add(COUNTER.send_calls, 1);
    const refused = sender.flush();
    if (refused > 0) {
      for (let i = 0; i < refused; i++) takeRefusal(i);
      singles.flush();
    }
    datagrams = 0;
    bytes = 0;
    messages = 0;
    segmentedMessages = 0;
    segmentBytes = -1;
  };

  const makeRoom = (): void => {
    if (datagrams === capacity || messages === mostMessages) flush();
  };

  const begin = (peer: number, size: number): void => {
    const endpoint = endpointsAt + messages * ENDPOINT_BYTES;
    endpoints.setIpv4(endpoint, peer, port);
    sender.begin(endpoint, size);
    addresses[messages] = peer;
    sizes[messages] = size;
    messages++;
    address = peer;
    segmentBytes = size;
    messageDatagrams = 0;
    messageBytes = 0;
  };

  return {
    headerRoom() {
      makeRoom();
      return headersAt + datagrams * ROOM;
    },
    add(peer, headerBytes, payloadAt, payloadBytes) {
      if (headerBytes === 0) makeRoom();
      const size = headerBytes + payloadBytes;
      const joins =
        size <= segmentBytes &&
        peer === address &&
        messageDatagrams < MOST_DATAGRAMS &&
        messageBytes + size <= MOST_BYTES;
      if (!joins) begin(peer, size);
      else if (messageDatagrams === 1) segmentedMessages++;
      if (headerBytes > 0) sender.append(headersAt + datagrams * ROOM, headerBytes);
      sender.append(payloadAt, payloadBytes);
      datagrams++;
      bytes += size;
      messageDatagrams++;
      messageBytes += size;
      // Only the last datagram of a message may be shorter.
      if (size < segmentBytes) segmentBytes = -1;
    },
    flush,
  };
}
