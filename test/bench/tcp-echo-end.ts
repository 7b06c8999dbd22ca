// A program: one end of an exchange of single bytes over TCP. Each byte leaves when the one before it has come back.
//
//     node tcp-echo-end.js answer PORT
//     node tcp-echo-end.js ask ADDRESS PORT MS       prints the times in microseconds as a JSON array
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { systemClock } from '../../agent/base/clock.ts';

const CONNECT_MS = 5_000;
/** Exchanges before the first measured one, so that both ends run compiled code. */
const WARM_UP = 1_000;

function answer(port: number): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (bytes) => socket.write(bytes));
    socket.on('error', () => socket.destroy());
  });
  server.listen(port, '0.0.0.0', () => process.stdout.write('listening\n'));
}

async function ask(host: string, port: number, forMs: number): Promise<number[]> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
  const byte = Buffer.from([1]);
  const times: number[] = [];
  let count = 0;
  let endMs = Number.POSITIVE_INFINITY;
  let sentMs = systemClock.monotonicMs();
  socket.on('data', () => {
    const now = systemClock.monotonicMs();
    count += 1;
    if (count === WARM_UP) endMs = now + forMs;
    if (count > WARM_UP) times.push(Math.round((now - sentMs) * 1_000));
    if (now >= endMs) {
      socket.destroy();
      return;
    }
    sentMs = systemClock.monotonicMs();
    socket.write(byte);
  });
  socket.write(byte);
  await once(socket, 'close');
  return times;
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'answer') answer(Number(rest[0]));
else process.stdout.write(`${JSON.stringify(await ask(rest[0] ?? '', Number(rest[1]), Number(rest[2])))}\n`);
