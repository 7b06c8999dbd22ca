// Two sockets on the loopback, with the arena, the endpoints and the payload to send from one to the other.
import {
  type Arena,
  createArena,
  createEndpoints,
  createPoller,
  createReceiver,
  createSender,
  ENDPOINT_BYTES,
  type Endpoints,
  errnoName,
  openUdpSocket,
  type Receiver,
  type ReceiverOptions,
  type Sender,
  type SenderOptions,
  type UdpSocket,
  type UdpSocketOptions,
} from '../src/index.ts';

export const LOOPBACK = '127.0.0.1';
export const LOOPBACK6 = '::1';

/** The loopback of both families. `most` is the largest payload that its MTU of 65,536 takes. */
export const FAMILIES = [
  { family: 'IPv4', address: LOOPBACK, any: '0.0.0.0', most: 65_507 },
  { family: 'IPv6', address: LOOPBACK6, any: '::', most: 65_488 },
] as const;

export interface Pair extends Disposable {
  readonly arena: Arena;
  readonly endpoints: Endpoints;
  /** The endpoint of `from`. */
  readonly source: number;
  /** The endpoint of `to`. */
  readonly target: number;
  /** Room for an endpoint. */
  readonly unused: number;
  readonly from: UdpSocket;
  readonly to: UdpSocket;
  readonly sender: Sender;
  readonly receiver: Receiver;
  /** Offset of `payloadBytes` bytes, each of which differs from its neighbours'. */
  readonly payload: number;
  /** An endpoint of its own in the arena. */
  endpoint(address: string, port: number): number;
  /** Receives until so many bytes are there, or 2 s went by. */
  receiveBytes(bytes: number): readonly Received[];
}

export interface Received {
  readonly bytes: Uint8Array;
  readonly segmentBytes: number;
  readonly address: string;
  readonly port: number;
  readonly isTruncated: boolean;
}

export const PAYLOAD_BYTES = 65_536;
const LIMIT_MS = 2_000;
const BUFFER_BYTES = 4 << 20;

export interface PairOptions {
  /** Both sockets' address; default: LOOPBACK. */
  readonly address?: string;
  readonly from?: Partial<UdpSocketOptions>;
  readonly to?: Partial<UdpSocketOptions>;
  readonly sender?: Partial<SenderOptions>;
  readonly receiver?: Partial<ReceiverOptions>;
}

export function openPair(options: PairOptions = {}): Pair {
  const arena = createArena(8 << 20);
  const common = {
    address: options.address ?? LOOPBACK,
    port: 0,
    receiveBufferBytes: BUFFER_BYTES,
    sendBufferBytes: BUFFER_BYTES,
  };
  const endpoints = createEndpoints(arena);
  const endpoint = (address: string, port: number): number => {
    const at = arena.reserve(ENDPOINT_BYTES);
    endpoints.set(at, address, port);
    return at;
  };
  const from = openUdpSocket({ ...common, ...options.from });
  const to = openUdpSocket({ ...common, ...options.to });
  const receiver = createReceiver(arena, to, { messages: 32, messageBytes: 65_536, ...options.receiver });
  const poller = createPoller(arena, [to.fd]);
  const payload = arena.reserve(PAYLOAD_BYTES);
  for (let i = 0; i < PAYLOAD_BYTES; i += 1) arena.u8[payload + i] = byteAt(i);
  return {
    arena,
    endpoints,
    endpoint,
    source: endpoint(common.address, from.port),
    unused: arena.reserve(ENDPOINT_BYTES),
    target: endpoint(common.address, to.port),
    from,
    to,
    sender: createSender(arena, from, { messages: 64, pieces: 256, ...options.sender }),
    receiver,
    payload,
    receiveBytes(bytes) {
      const received: Received[] = [];
      const endMs = performance.now() + LIMIT_MS;
      for (let total = 0; total < bytes && performance.now() < endMs; ) {
        poller.wait(50);
        for (const message of receiveAll(arena, receiver)) {
          received.push(message);
          total += message.bytes.length;
        }
      }
      return received;
    },
    [Symbol.dispose]: () => {
      from[Symbol.dispose]();
      to[Symbol.dispose]();
    },
  };
}

/** The byte of the payload at `i`. The bytes repeat after 251 x 256 only. */
export function byteAt(i: number): number {
  return (i * 7 + Math.floor(i / 251)) & 0xff;
}

/** Whether bytes are those of the payload from `from`. */
export function isPayload(bytes: Uint8Array, from = 0): boolean {
  return bytes.every((byte, i) => byte === byteAt(from + i));
}

/** One call of `receive`, copied out of the arena. */
export function receiveAll(arena: Arena, receiver: Receiver): readonly Received[] {
  const endpoints = createEndpoints(arena);
  const count = receiver.receive();
  if (count < 0) throw new Error(`receive gave ${count}`);
  return Array.from({ length: count }, (_, i) => ({
    bytes: arena.u8.slice(receiver.offset(i), receiver.offset(i) + receiver.length(i)),
    segmentBytes: receiver.segmentBytes(i),
    address: endpoints.address(receiver.source(i)),
    port: endpoints.port(receiver.source(i)),
    isTruncated: receiver.isTruncated(i),
  }));
}

/** The datagrams that messages are made of. */
export function datagramsOf(messages: readonly Received[]): readonly Uint8Array[] {
  return messages.flatMap(({ bytes, segmentBytes }) => {
    const count = Math.max(1, Math.ceil(bytes.length / Math.max(1, segmentBytes)));
    return Array.from({ length: count }, (_, i) => bytes.subarray(i * segmentBytes, (i + 1) * segmentBytes));
  });
}

/** The positions and the errnos of the refused messages of the last flush. */
export function refusals(sender: Sender, count: number): readonly (readonly [number, string])[] {
  return Array.from({ length: count }, (_, i) => [
    sender.refusedMessage(i),
    errnoName(sender.refusedErrno(i)),
  ]);
}
