// Datagrams that are about to leave, gathered into as few messages and system calls as they allow: datagrams of one size
// in a row to one peer are one message that the kernel, or the network card, cuts apart again (the sender does where they
// cannot), and messages
// to different peers leave together. A datagram is two pieces of the memory, its header and its payload, which have to
// stay as they are until the next flush.
//
// It also knows what to do when the kernel refuses a message; what does not fit its path is handed to `tooBig`.
import type { Sender } from 'dgram-native';
import { COUNTER, type Counters, type DropReason } from '../counters.ts';
import type { PathLimits } from '../path-limits.ts';

/** Room for the largest headers: 60 bytes each of IPv4 and TCP. */
export const HEADER_ROOM = 128;

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
  /** Adds a datagram to the public address of a peer; without a header of its own, `headerBytes` is 0. */
  add(address: number, headerAt: number, headerBytes: number, payloadAt: number, payloadBytes: number): void;
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

// Of a datagram's record: where its pieces are.
const RECORD = 4;

export function createOutbox(parts: OutboxParts): Outbox {
  const { sender, port, counters, paths, tooBig, headersAt, capacity } = parts;
  const records = new Int32Array(capacity * RECORD);
  // Of messages: the peer, the size of each datagram, the first datagram. One more than there are, as an end.
  const addresses = new Int32Array(capacity + 1);
  const sizes = new Int32Array(capacity + 1);
  const firsts = new Int32Array(capacity + 1);
  const refusedMessages = new Int32Array(capacity);
  const refusedErrnos = new Int32Array(capacity);
  let datagrams = 0;
  let messages = 0;
  // Of the last message.
  let isOpen = false;
  let messageBytes = 0;

  const at = (values: Int32Array, index: number): number => values[index] as number;

  const append = (record: number): void => {
    const headerBytes = at(records, record + 1);
    if (headerBytes > 0) sender.append(at(records, record), headerBytes);
    sender.append(at(records, record + 2), at(records, record + 3));
  };

  const write = (message: number): void => {
    const first = at(firsts, message);
    const end = at(firsts, message + 1);
    sender.begin(at(addresses, message), port, end - first > 1 ? at(sizes, message) : 0);
    for (let i = first; i < end; i++) append(i * RECORD);
    if (end - first > 1) counters.add(COUNTER.sent_segmented_messages, 1);
  };

  const sendAll = (): number => {
    let refused = 0;
    for (let next = 0; next < messages; ) {
      const first = next;
      for (; next < messages && sender.freeMessages > 0; next++) {
        if (sender.freePieces < 2 * (at(firsts, next + 1) - at(firsts, next))) break;
        write(next);
      }
      if (next === first) throw new Error('the sender has no room for one message');
      const count = sender.flush();
      counters.add(COUNTER.send_calls, 1);
      for (let i = 0; i < count; i++, refused++) {
        refusedMessages[refused] = first + sender.refusedMessage(i);
        refusedErrnos[refused] = sender.refusedErrno(i);
      }
    }
    counters.add(COUNTER.sent_messages, messages);
    return refused;
  };

  const settle = (): void => {
    const refused = sender.flush();
    for (let i = 0; i < refused; i++) counters.drop(reasonOf(sender.refusedErrno(i)));
  };

  const sendAlone: Outbox['sendAlone'] = (address, headerAt, headerBytes, payloadAt, payloadBytes) => {
    if (sender.freeMessages === 0 || sender.freePieces < 2) settle();
    sender.begin(address, port, 0);
    if (headerBytes > 0) sender.append(headerAt, headerBytes);
    sender.append(payloadAt, payloadBytes);
  };

  // Of a run that does not fit its path the parts that do, such as a short end, are sent alone: at worst twice.
  const takeBack = (message: number, errno: number): void => {
    const address = at(addresses, message);
    const [first, end] = [at(firsts, message), at(firsts, message + 1)];
    const limit = errno === EMSGSIZE ? paths.learn(address) : undefined;
    for (let i = first; i < end; i++) {
      const record = i * RECORD;
      const [headerAt, headerBytes] = [at(records, record), at(records, record + 1)];
      const [payloadAt, payloadBytes] = [at(records, record + 2), at(records, record + 3)];
      const size = headerBytes + payloadBytes;
      if (limit !== undefined && size <= limit && end - first > 1) {
        sendAlone(address, headerAt, headerBytes, payloadAt, payloadBytes);
        continue;
      }
      counters.add(COUNTER.sent_packets, -1);
      counters.add(COUNTER.sent_bytes, -size);
      if (limit === undefined || size <= limit) counters.drop(reasonOf(errno));
      else tooBig(address, headerAt, headerBytes, payloadAt, payloadBytes, limit);
    }
  };

  const flush = (): void => {
    if (datagrams === 0) return;
    firsts[messages] = datagrams;
    const refused = sendAll();
    for (let i = 0; i < refused; i++) takeBack(at(refusedMessages, i), at(refusedErrnos, i));
    if (refused > 0) settle();
    datagrams = 0;
    messages = 0;
    isOpen = false;
  };

  return {
    headerRoom() {
      if (datagrams === capacity) flush();
      return headersAt + datagrams * HEADER_ROOM;
    },
    add(address, headerAt, headerBytes, payloadAt, payloadBytes) {
      if (datagrams === capacity) flush();
      const size = headerBytes + payloadBytes;
      const last = messages - 1;
      const joins =
        isOpen &&
        at(addresses, last) === address &&
        size <= at(sizes, last) &&
        datagrams - at(firsts, last) < MOST_SEGMENTS &&
        messageBytes + size <= MOST_MESSAGE_BYTES;
      if (joins) {
        messageBytes += size;
        // Only the last datagram of a message may be shorter.
        isOpen = size === at(sizes, last);
      } else {
        addresses[messages] = address;
        sizes[messages] = size;
        firsts[messages] = datagrams;
        messageBytes = size;
        isOpen = true;
        messages++;
      }
      const record = datagrams * RECORD;
      records[record] = headerAt;
      records[record + 1] = headerBytes;
      records[record + 2] = payloadAt;
      records[record + 3] = payloadBytes;
      datagrams++;
      counters.add(COUNTER.sent_packets, 1);
      counters.add(COUNTER.sent_bytes, size);
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
