// A program: one end of a load of TCP connections in one direction.
//
//     node tcp-load-end.js send PORT MEGABITS              sends on each connection until it is closed; 0: as fast as it can
//     node tcp-load-end.js receive ADDRESS PORT STREAMS MS   reads for so long, and prints a TcpLoad as JSON
//
// The receiver connects, because only a connecting socket of Node reads into a large buffer.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { systemClock } from '../../agent/base/clock.ts';
import type { TcpLoad } from './load.ts';

const CHUNK_BYTES = 256 * 1024;
/** Small enough that a paced stream is one, and large enough to be a run. */
const PACED_BYTES = 32 * 1024;
const READ_BYTES = 1024 * 1024;
/** What a connection takes to grow its window is not measured. */
const WARM_UP_MS = 300;
const CONNECT_MS = 5_000;
/** A paced sender that was held up does not make up for more than this. */
const LONGEST_DEBT_MS = 10;
/** Of one processor, in /proc/stat. */
const TICKS_A_SECOND = 100;

async function sendAll(socket: Socket): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES, 0x61);
  while (!socket.destroyed) {
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
}

function sendPaced(socket: Socket, megabits: number): void {
  const chunk = Buffer.alloc(PACED_BYTES, 0x61);
  const bytesAMs = (megabits * 1_000) / 8;
  let owed = 0;
  let lastMs = systemClock.monotonicMs();
  const timer = setInterval(() => {
    const now = systemClock.monotonicMs();
    owed = Math.min(owed + (now - lastMs) * bytesAMs, LONGEST_DEBT_MS * bytesAMs);
    lastMs = now;
    for (; owed >= PACED_BYTES && !socket.writableNeedDrain; owed -= PACED_BYTES) socket.write(chunk);
  }, 1);
  socket.once('close', () => clearInterval(timer));
}

function send(port: number, megabits: number): void {
  const server = createServer((socket) => {
    // The receiver closes when it has seen enough.
    socket.on('error', () => socket.destroy());
    socket.resume();
    if (megabits > 0) sendPaced(socket, megabits);
    else sendAll(socket).catch(() => socket.destroy());
  });
  server.listen(port, '0.0.0.0', () => process.stdout.write('listening\n'));
}

async function receive(host: string, port: number, streams: number, forMs: number): Promise<TcpLoad> {
  let bytes = 0;
  const open = async (): Promise<Socket> => {
    const onread = {
      buffer: Buffer.alloc(READ_BYTES),
      callback: (read: number) => {
        bytes += read;
        return true;
      },
    };
    const socket = connect({ host, port, onread });
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
    return socket;
  };
  const sockets = await Promise.all(Array.from({ length: streams }, open));
  await systemClock.sleep(WARM_UP_MS);
  const [before, beforeBusy, beforeMs] = [bytes, busySeconds(), systemClock.monotonicMs()];
  await systemClock.sleep(forMs);
  const load = {
    bytes: bytes - before,
    tookMs: systemClock.monotonicMs() - beforeMs,
    busySeconds: busySeconds() - beforeBusy,
  };
  for (const socket of sockets) socket.destroy();
  return load;
}

/** What all processors of the machine have worked so far. */
function busySeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_A_SECOND;
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'send') {
  send(Number(rest[0]), Number(rest[1]));
} else {
  const [address = '', ...numbers] = rest;
  const [port = 0, streams = 1, forMs = 0] = numbers.map(Number);
  process.stdout.write(`${JSON.stringify(await receive(address, port, streams, forMs))}\n`);
}
