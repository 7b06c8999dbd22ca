// A UDP socket in memory. Memory senders send through it into a list, and memory receivers receive the messages that a
// test offers.

import type { Arena, UdpSocket } from '../contract.ts';
import { createEndpoints, ENDPOINT_BYTES, writeEndpoint } from '../endpoints.ts';
import { EMSGSIZE } from '../numbers.ts';
import type { Pieces } from './pieces.ts';

/** A datagram that was sent. */
export interface Datagram {
  /** The address and the port that it was sent to. */
  readonly address: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** A message of a flush. Valid during the call that it is handed to. */
export interface OutgoingMessage {
  readonly arena: Arena;
  /** The endpoint that it goes to. */
  endpoint: number;
  /** Size of its datagrams; 0: it is one. */
  segmentBytes: number;
  pieces: Pieces;
}

/** A message that waits to be received. */
export interface IncomingMessage {
  /** The bytes of its source, as `endpointBytes` gives them. */
  readonly source: Uint8Array;
  readonly bytes: Uint8Array;
  /** Size of its datagrams; default: it is one. */
  readonly segmentBytes?: number;
}

export interface MemorySocket extends UdpSocket {
  canSegment: boolean;
  /** Takes one message as the kernel does, and gives the errno of its refusal; 0: sent. Default: `record`. */
  send: (message: OutgoingMessage) => number;
  /** Adds the datagrams of a message to the record; EMSGSIZE where it is longer than IPv4 takes. */
  record(message: OutgoingMessage): number;
  /** The recorded datagrams. */
  readonly datagrams: Datagram[];
  /** Of each recorded message the number of its datagrams. */
  readonly runs: number[];
  /** Flushes that sent anything. */
  flushes: number;
  /** Takes the recorded datagrams out of the record. */
  take(): Datagram[];
  /** Puts messages behind those that wait to be received. */
  offer(messages: readonly IncomingMessage[]): void;
  /** Messages that wait to be received. */
  waiting(): number;
  /** Takes the next message that waits. */
  next(): IncomingMessage | undefined;
  /** Largest payload by address, for `pathPayloadBytes`. */
  readonly paths: Map<string, number>;
}

const MAX_PAYLOAD_BYTES = 65_507;

/** The bytes of an endpoint. */
export function endpointBytes(address: string, port: number): Uint8Array {
  const bytes = new Uint8Array(ENDPOINT_BYTES);
  writeEndpoint({ u8: bytes, u16: new Uint16Array(bytes.buffer) }, 0, address, port);
  return bytes;
}

/** Makes a socket in memory with this port. */
export function createMemorySocket(port: number): MemorySocket {
  let queue: readonly IncomingMessage[] = [];
  let given = 0;
  const socket: MemorySocket = {
    fd: -1,
    port,
    canSegment: true,
    canCoalesce: true,
    stopSegmenting() {
      socket.canSegment = false;
    },
    send: (message) => socket.record(message),
    record({ arena, endpoint, segmentBytes, pieces }) {
      const bytes = pieces.gather();
      const size = segmentBytes === 0 ? Math.max(bytes.length, 1) : segmentBytes;
      if (bytes.length > MAX_PAYLOAD_BYTES) return EMSGSIZE;
      const endpoints = createEndpoints(arena);
      const to = { address: endpoints.address(endpoint), port: endpoints.port(endpoint) };
      let count = 0;
      for (let at = 0; at === 0 || at < bytes.length; at += size) {
        socket.datagrams.push({ ...to, bytes: bytes.slice(at, at + size) });
        count += 1;
      }
      socket.runs.push(count);
      return 0;
    },
    datagrams: [],
    runs: [],
    flushes: 0,
    take: () => socket.datagrams.splice(0),
    offer(messages) {
      queue = given === queue.length ? messages : [...queue.slice(given), ...messages];
      given = 0;
    },
    waiting: () => queue.length - given,
    next() {
      const message = queue[given];
      if (message !== undefined) given += 1;
      return message;
    },
    paths: new Map(),
    pathPayloadBytes: (address) => socket.paths.get(address),
    [Symbol.dispose]: () => undefined,
  };
  return socket;
}
