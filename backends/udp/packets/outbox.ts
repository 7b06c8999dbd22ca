// Datagrams that are about to leave, gathered into as few messages and system calls as they allow: datagrams of one
// size in a row to one peer are one message that the kernel, or the network card, cuts apart again (the sender does
// where they cannot), and messages to different peers leave together. A datagram is two pieces of the memory, its
// header and its payload, which have to stay as they are until the next flush.
//
// It also knows what to do when the kernel refuses a message; what does not fit its path is handed to `tooBig`.
import type { Sender } from 'dgram-native';
import { COUNTER, type Counters, type DropReason } from '../counters.ts';
import type { PathLimits } from '../path-limits.ts';

/** Room for the largest headers: 60 bytes each of IPv4 and TCP. */
export const HEADER_ROOM = 128;
// What is exported has to be looked up each time.
const ROOM = HEADER_ROOM;

/** Takes a datagram that is larger than the path to `address`, which takes `limitBytes`. */
export type TakeTooBig = (
  address: number,
  headerAt: number,
  headerBytes: number,
  payloadAt: number,
  payloadBytes: number,
  limitBytes: number,
) => void;

/** What takes datagrams. */
export interface DatagramSink {
  /** Where the header of the next datagram may be written, on a boundary of 16: `HEADER_ROOM` bytes. */
  headerRoom(): number;
  /**
   * Adds a datagram to the public address of a peer. `headerBytes` of it were written into the header room that was
   * given last; 0: it has no header of its own.
   */
  add(address: number, headerBytes: number, payloadAt: number, payloadBytes: number): void;
}

export interface Outbox extends DatagramSink {
  /** Sends what was added, and forgets it. */
  flush(): void;
  /** Writes down a datagram past the others, as a message of its own; for `tooBig`, during a flush. */
  sendAlone(
    address: number,
    headerAt: number,
    headerBytes: number,
    payloadAt: number,
    payloadBytes: number,
  ): void;
  /** Sends what was written down so: after it the pieces may change. */
  settle(): void;
}

export interface OutboxParts {
  readonly sender: Sender;
  readonly port: number;
  readonly counters: Counters;
  readonly paths: PathLimits;
  readonly tooBig: TakeTooBig;
  /** Memory for the headers of `capacity` datagrams, on a boundary of 16. */
  readonly headersAt: number;
  readonly capacity: number;
}

// The kernel's UDP_MAX_SEGMENTS before version 6.11.
const MOST_SEGMENTS = 64;

// A device takes a run as one packet only if it is below 64 KiB with every header of the underlay.
const MOST_MESSAGE_BYTES = 65_000;

const EAGAIN = 11;
const ENOMEM = 12;
const EMSGSIZE = 90;
const ENOBUFS = 105;

// Of a datagram's record: the bytes of its header, and where its payload is.
const RECORD = 3;

export function createOutbox(parts: OutboxParts): Outbox {
  const { sender, port, counters, paths, tooBig, headersAt, capacity } = parts;
  if (sender.freePieces() < 2 * capacity) throw new Error('the sender has no room for two pieces a datagram');
  const mostMessages = sender.freeMessages();
  // What was written down, for when it is refused: the datagrams, and of messages the peer and the first datagram. One
  // more than there are, as an end.
  const records = new Int32Array(capacity * RECORD);
  const addresses = new Int32Array(mostMessages);
  const firsts = new Int32Array(mostMessages + 1);
  const refusedMessages = new Int32Array(mostMessages);
  const refusedErrnos = new Int32Array(mostMessages);
  let datagrams = 0;
  let bytes = 0;
  let messages = 0;
  let segmentedMessages = 0;
  // Of the last message. None is open where `segmentBytes` is -1.
  let address = 0;
  let segmentBytes = -1;
  let messageDatagrams = 0;
  let messageBytes = 0;

  const at = (values: Int32Array, index: number): number => values[index] as number;

  const settle = (): void => {
    const refused = sender.flush();
    for (let i = 0; i < refused; i++) counters.drop(reasonOf(sender.refusedErrno(i)));
  };

  const sendAlone: Outbox['sendAlone'] = (peer, headerAt, headerBytes, payloadAt, payloadBytes) => {
    if (sender.freeMessages() === 0 || sender.freePieces() < 2) settle();
    sender.begin(peer, port, 0);
    if (headerBytes > 0) sender.append(headerAt, headerBytes);
    sender.append(payloadAt, payloadBytes);
  };

  // Of a run that does not fit its path the parts that do, such as a short end, are sent alone: at worst twice.
  const takeBack = (message: number, errno: number): void => {
    const peer = at(addresses, message);
    const [first, end] = [at(firsts, message), at(firsts, message + 1)];
    const limit = errno === EMSGSIZE ? paths.learn(peer) : undefined;
    for (let i = first; i < end; i++) {
      const record = i * RECORD;
      const [headerAt, headerBytes] = [headersAt + i * ROOM, at(records, record)];
      const [payloadAt, payloadBytes] = [at(records, record + 1), at(records, record + 2)];
      const size = headerBytes + payloadBytes;
      if (limit !== undefined && size <= limit && end - first > 1) {
        sendAlone(peer, headerAt, headerBytes, payloadAt, payloadBytes);
        continue;
      }
      counters.add(COUNTER.sent_packets, -1);
      counters.add(COUNTER.sent_bytes, -size);
      if (limit === undefined || size <= limit) counters.drop(reasonOf(errno));
      else tooBig(peer, headerAt, headerBytes, payloadAt, payloadBytes, limit);
    }
  };

  const takeBackAll = (refused: number): void => {
    for (let i = 0; i < refused; i++) {
      refusedMessages[i] = sender.refusedMessage(i);
      refusedErrnos[i] = sender.refusedErrno(i);
    }
    for (let i = 0; i < refused; i++) takeBack(at(refusedMessages, i), at(refusedErrnos, i));
    settle();
  };

  const flush = (): void => {
    if (datagrams === 0) return;
    firsts[messages] = datagrams;
    counters.add(COUNTER.sent_packets, datagrams);
    counters.add(COUNTER.sent_bytes, bytes);
    counters.add(COUNTER.sent_messages, messages);
    counters.add(COUNTER.sent_segmented_messages, segmentedMessages);
    counters.add(COUNTER.send_calls, 1);
    const refused = sender.flush();
    if (refused > 0) takeBackAll(refused);
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
    sender.begin(peer, port, size);
    addresses[messages] = peer;
    firsts[messages] = datagrams;
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
        messageDatagrams < MOST_SEGMENTS &&
        messageBytes + size <= MOST_MESSAGE_BYTES;
      if (!joins) begin(peer, size);
      else if (messageDatagrams === 1) segmentedMessages++;
      if (headerBytes > 0) sender.append(headersAt + datagrams * ROOM, headerBytes);
      sender.append(payloadAt, payloadBytes);
      const record = datagrams * RECORD;
      records[record] = headerBytes;
      records[record + 1] = payloadAt;
      records[record + 2] = payloadBytes;
      datagrams++;
      bytes += size;
      messageDatagrams++;
      messageBytes += size;
      // Only the last datagram of a message may be shorter.
      if (size < segmentBytes) segmentBytes = -1;
    },
    flush,
    sendAlone,
    settle,
  };
}

function reasonOf(errno: number): DropReason {
  if (errno === EMSGSIZE) return 'too_big';
  return errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM ? 'send_full' : 'send_refused';
}
