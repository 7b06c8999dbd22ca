// A program: one end of a stream of numbered datagrams. It works in batches, so that the ends are not the bottleneck.
//
//     node datagram-load-end.js send ADDRESS PORT SPREAD BYTES|mixed RATE MS    prints a SentDatagrams as JSON
//     node datagram-load-end.js count PORT SPREAD         until none comes any more; prints a CountedDatagrams as JSON
//
// SPREAD source ports send to SPREAD ports in turn, which makes SPREAD² flows. RATE is in datagrams a second; 0: as
// many as the machine can send. Every datagram is its own message, as in ordinary programs: neither end uses
// segmentation or receive offload (GSO, GRO).
import {
  createArena,
  createEndpoints,
  createPoller,
  createReceiver,
  createSender,
  ENDPOINT_BYTES,
  openUdpSocket,
} from 'dgram-native';
import { systemClock } from '../../agent/base/clock.ts';
import type { CountedDatagrams, SentDatagrams } from './load.ts';

const BATCH = 64;
const NUMBER_BYTES = 4;
const ROOM_BYTES = 2_048;
const MIXED_BYTES = { from: 64, to: 1_400 } as const;
const BUFFER_BYTES = 4 << 20;
/** The stream ends after this silence. Before the first datagram the silence may be longer. */
const QUIET_MS = 500;
const FIRST_MS = 10_000;
/** The largest number of datagrams whose duplicates are counted. */
const MAX_NUMBERS = 1 << 27;
const PLAIN = { segmentation: false, coalescing: false } as const;

function send(
  address: string,
  port: number,
  spread: number,
  sizes: string,
  rate: number,
  forMs: number,
): SentDatagrams {
  const arena = createArena(4 << 20);
  const sockets = Array.from({ length: spread }, () =>
    openUdpSocket({ address: '0.0.0.0', port: 0, sendBufferBytes: BUFFER_BYTES, ...PLAIN }),
  );
  const senders = sockets.map((socket) =>
    createSender(arena, socket, { messages: BATCH, pieces: 2 * BATCH }),
  );
  const pauses = createPoller(
    arena,
    sockets.slice(0, 1).map(({ fd }) => fd),
  );
  const numbersAt = arena.reserve(BATCH * NUMBER_BYTES);
  const payloadAt = arena.reserve(ROOM_BYTES);
  const endpoints = createEndpoints(arena);
  const targets = Array.from({ length: spread }, (_, i) => {
    const at = arena.reserve(ENDPOINT_BYTES);
    endpoints.set(at, address, port + i);
    return at;
  });
  const fixed = sizes === 'mixed' ? undefined : Number(sizes);
  let number = 0;
  let refused = 0;
  const startMs = systemClock.monotonicMs();
  let elapsedMs = 0;
  for (let turn = 0; elapsedMs < forMs; turn += 1) {
    const due = rate === 0 ? BATCH : Math.floor((rate * elapsedMs) / 1_000) - number;
    if (due <= 0) {
      pauses.wait(1);
    } else {
      const sender = senders[turn % spread];
      for (let i = 0; i < Math.min(due, BATCH); i += 1) {
        const at = numbersAt + i * NUMBER_BYTES;
        arena.u32[at >> 2] = number;
        sender?.begin(targets[i % spread] ?? 0, 0);
        sender?.append(at, NUMBER_BYTES);
        sender?.append(payloadAt, (fixed ?? mixedBytes(number)) - NUMBER_BYTES);
        number += 1;
      }
      const full = sender?.flush() ?? 0;
      refused += full;
      if (full > 0) pauses.wait(1);
    }
    elapsedMs = systemClock.monotonicMs() - startMs;
  }
  for (const socket of sockets) socket[Symbol.dispose]();
  return { sent: number - refused, refused, tookMs: elapsedMs };
}

function mixedBytes(number: number): number {
  const { from, to } = MIXED_BYTES;
  return from + ((Math.imul(number, 0x9e3779b1) >>> 8) % (to - from + 1));
}

function count(port: number, spread: number): CountedDatagrams {
  const arena = createArena(spread * BATCH * ROOM_BYTES + (4 << 20));
  const sockets = Array.from({ length: spread }, (_, i) =>
    openUdpSocket({ address: '0.0.0.0', port: port + i, receiveBufferBytes: BUFFER_BYTES, ...PLAIN }),
  );
  const receivers = sockets.map((socket) =>
    createReceiver(arena, socket, { messages: BATCH, messageBytes: ROOM_BYTES }),
  );
  const poller = createPoller(
    arena,
    sockets.map(({ fd }) => fd),
  );
  const seen = new Uint8Array(MAX_NUMBERS >> 3);
  let received = 0;
  let duplicates = 0;
  let late = 0;
  let highest = -1;
  let firstMs = 0;
  let lastMs = 0;
  process.stdout.write('listening\n');
  while (poller.wait(received === 0 ? FIRST_MS : QUIET_MS) !== 0) {
    for (const receiver of receivers) {
      const messages = receiver.receive();
      if (messages < 0) throw new Error(`receiving failed: errno ${-messages}`);
      if (messages > 0) lastMs = systemClock.monotonicMs();
      if (received === 0) firstMs = lastMs;
      for (let i = 0; i < messages; i += 1) {
        const number = arena.u32[receiver.offset(i) >> 2] ?? 0;
        const bit = 1 << (number & 7);
        const byte = seen[number >>> 3] ?? 0;
        if ((byte & bit) !== 0) duplicates += 1;
        seen[number >>> 3] = byte | bit;
        if (number < highest) late += 1;
        else highest = number;
        received += 1;
      }
    }
  }
  for (const socket of sockets) socket[Symbol.dispose]();
  return { received, duplicates, late, tookMs: lastMs - firstMs };
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'send') {
  const [address = '', port, spread, sizes = '', rate, forMs] = rest;
  process.stdout.write(
    `${JSON.stringify(send(address, Number(port), Number(spread), sizes, Number(rate), Number(forMs)))}\n`,
  );
} else {
  process.stdout.write(`${JSON.stringify(count(Number(rest[0]), Number(rest[1])))}\n`);
}
