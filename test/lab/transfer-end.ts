// A program: one end of a TCP connection that carries random bytes. Prints a TransferReport as JSON.
//
//     node transfer-end.js send PORT sha256|plain bytes|ms LIMIT       waits for one connection, sends, ends
//     node transfer-end.js receive PORT ADDRESS sha256|plain           connects and reads to the end
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { monotonicMs } from './process.ts';
import type { TransferReport } from './transfer.ts';

const CHUNK_BYTES = 256 * 1024;
const CONNECT_MS = 5_000;

const [role, port, ...rest] = process.argv.slice(2);

/** Counts the bytes of a stream and their time, and hashes them if `mode` says so. */
function meter(mode: string | undefined) {
  const hash = mode === 'sha256' ? createHash('sha256') : undefined;
  let bytes = 0;
  let startMs: number | undefined;
  return {
    add(chunk: Uint8Array) {
      startMs ??= monotonicMs();
      bytes += chunk.length;
      hash?.update(chunk);
    },
    report: (): TransferReport => ({
      bytes,
      sha256: hash?.digest('hex'),
      tookMs: startMs === undefined ? 0 : monotonicMs() - startMs,
    }),
    get bytes() {
      return bytes;
    },
  };
}

async function send(
  mode: string | undefined,
  unit: string | undefined,
  limit: number,
): Promise<TransferReport> {
  const server = createServer().listen(Number(port), '0.0.0.0');
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  const template = randomFillSync(Buffer.alloc(CHUNK_BYTES));
  const sent = meter(mode);
  const endMs = monotonicMs() + limit;
  const left = (): number =>
    unit === 'ms' ? (monotonicMs() < endMs ? CHUNK_BYTES : 0) : Math.min(limit - sent.bytes, CHUNK_BYTES);
  for (let size = left(), number = 0; size > 0; size = left(), number++) {
    // With a checksum all chunks differ, so that a lost chunk and a doubled one cannot compensate for each other.
    const chunk = mode === 'sha256' ? Buffer.from(template.subarray(0, size)) : template.subarray(0, size);
    if (mode === 'sha256' && size >= 4) chunk.writeUInt32BE(number);
    sent.add(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  socket.resume();
  await once(socket, 'close');
  return sent.report();
}

async function receive(address: string | undefined, mode: string | undefined): Promise<TransferReport> {
  const received = meter(mode);
  const socket = connect({
    host: address ?? '',
    port: Number(port),
    onread: {
      buffer: Buffer.alloc(4 * CHUNK_BYTES),
      callback: (bytes, buffer) => {
        received.add(buffer.subarray(0, bytes));
        return true;
      },
    },
  });
  const timer = setTimeout(
    () => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)),
    CONNECT_MS,
  );
  socket.once('connect', () => clearTimeout(timer));
  await once(socket, 'end');
  return received.report();
}

const report =
  role === 'send' ? await send(rest[0], rest[1], Number(rest[2])) : await receive(rest[0], rest[1]);
process.stdout.write(`${JSON.stringify(report)}\n`);
