// A program: sends pings of its own over UDP at a fixed rate, answered or not.
//
//     node datagram-echo-end.js answer PORT
//     node datagram-echo-end.js ask ADDRESS PORT RATE MS      prints a PingTimes as JSON
//
// Both ends only wait in poll: a late answer was late on its way, or the processor was late for every process.
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
import type { PingTimes } from './load.ts';

const BATCH = 64;
const PAYLOAD_BYTES = 64;
/** Time for an answer after the last ping. An answer after that counts as lost. */
const LATE_MS = 2_000;
/** Pings before the first measured one: they wait for ARP, and run code that is not compiled yet. */
const WARM_UP = 200;

const [role, ...rest] = process.argv.slice(2);
const arena = createArena(4 << 20);
const port = role === 'answer' ? Number(rest[0]) : 0;
using socket = openUdpSocket({ address: '0.0.0.0', port, segmentation: false, coalescing: false });
const sender = createSender(arena, socket, { messages: BATCH, pieces: BATCH });
const receiver = createReceiver(arena, socket, { messages: BATCH, messageBytes: PAYLOAD_BYTES });
const poller = createPoller(arena, [socket.fd]);

function answer(): never {
  process.stdout.write('listening\n');
  for (;;) {
    poller.wait(-1);
    const messages = receiver.receive();
    for (let i = 0; i < messages; i += 1) {
      sender.begin(receiver.source(i), 0);
      sender.append(receiver.offset(i), receiver.length(i));
    }
    sender.flush();
  }
}

function ask(address: string, toPort: number, rate: number, forMs: number): PingTimes {
  const count = WARM_UP + Math.floor((rate * forMs) / 1_000);
  const sentMs = new Float64Array(count);
  const answered = new Uint8Array(count);
  const timesUs: number[] = [];
  const at = arena.reserve(PAYLOAD_BYTES);
  const to = arena.reserve(ENDPOINT_BYTES);
  createEndpoints(arena).set(to, address, toPort);
  const startMs = systemClock.monotonicMs();
  let sent = 0;
  let lastMs = startMs;
  while (sent < count || (timesUs.length < count - WARM_UP && systemClock.monotonicMs() < lastMs + LATE_MS)) {
    const now = systemClock.monotonicMs();
    if (sent < count && now >= startMs + (sent * 1_000) / rate) {
      arena.u32[at >> 2] = sent;
      sender.begin(to, 0);
      sender.append(at, PAYLOAD_BYTES);
      sentMs[sent] = now;
      sender.flush();
      lastMs = now;
      sent += 1;
    }
    // A ping that becomes due meanwhile leaves up to a millisecond later. Its time begins when it is sent.
    poller.wait(1);
    const messages = receiver.receive();
    const arrivedMs = systemClock.monotonicMs();
    for (let i = 0; i < messages; i += 1) {
      const number = arena.u32[receiver.offset(i) >> 2] ?? 0;
      if (number >= sent || answered[number] === 1) continue;
      answered[number] = 1;
      if (number >= WARM_UP) timesUs.push(Math.round((arrivedMs - (sentMs[number] ?? 0)) * 1_000));
    }
  }
  return { sent: count - WARM_UP, timesUs };
}

if (role === 'answer') answer();
const [address = '', toPort, rate, forMs] = rest;
process.stdout.write(`${JSON.stringify(ask(address, Number(toPort), Number(rate), Number(forMs)))}\n`);
