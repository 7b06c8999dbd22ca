// Measures the cost of calls on the loopback. Run after the build: node bench.mjs
import {
  createArena,
  createEndpoints,
  createPoller,
  createReceiver,
  createSender,
  ENDPOINT_BYTES,
  openUdpSocket,
} from './dist/index.js';

const LOOPBACK = '127.0.0.1';
const ROUNDS = 100_000;
const TIMES = 5;

const arena = createArena(8 << 20);
const buffers = { receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20 };
const from = openUdpSocket({ address: LOOPBACK, port: 0, ...buffers });
const to = openUdpSocket({ address: LOOPBACK, port: 0, ...buffers });
const sender = createSender(arena, from, { messages: 64, pieces: 256 });
const receiver = createReceiver(arena, to, { messages: 64, messageBytes: 65_536 });
const poller = createPoller(arena, [to.fd]);
const payload = arena.reserve(65_536);
const target = arena.reserve(ENDPOINT_BYTES);
createEndpoints(arena).set(target, LOOPBACK, to.port);

function exchange(messages, bytes, segmentBytes) {
  for (let i = 0; i < messages; i += 1) {
    sender.begin(target, segmentBytes);
    sender.append(payload, bytes);
  }
  if (sender.flush() !== 0 || receiver.receive() !== messages) throw new Error('lost');
}

function measure(what, each, work) {
  const ns = Array.from({ length: TIMES }, () => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < ROUNDS; i += each) work();
    return Number(process.hrtime.bigint() - start) / ROUNDS;
  }).sort((a, b) => a - b);
  console.log(`${what.padEnd(60)} ${ns[TIMES >> 1].toFixed(0).padStart(6)} ns`);
}

measure('poll of one descriptor, nothing there', 1, () => poller.wait(0));
measure('recvmmsg, nothing there', 1, () => receiver.receive());
measure('100 bytes sent and received, one message a call', 1, () => exchange(1, 100, 0));
measure('100 bytes sent and received, 64 messages a call, each', 64, () => exchange(64, 100, 0));
measure('1400 bytes sent and received, one message a call', 1, () => exchange(1, 1400, 0));
measure('1400 bytes sent and received, as a run of 46, each', 46, () => exchange(1, 46 * 1400, 1400));
