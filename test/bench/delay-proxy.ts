// A program: a TCP proxy that delays each piece in each direction, as a long line does. It does not throttle: pieces
// that arrive together leave together. The first piece of a connection also waits for one round trip, the time to open
// a distant connection.
//
//     node delay-proxy.js LISTEN_ADDRESS PORT TARGET_ADDRESS TARGET_PORT DELAY_MS
//
// It is a process of its own, so that its work delays neither the agent nor the measuring process.
import { connect, createServer, type Socket } from 'node:net';
import { monotonicMs } from '../lab/process.ts';

const [address = '', port, targetAddress = '', targetPort, delay] = process.argv.slice(2);
const delayMs = Number(delay);

interface Piece {
  readonly dueMs: number;
  /** Undefined: the end of the stream. */
  readonly bytes: Buffer | undefined;
}

function carry(from: Socket, to: Socket, openMs: number): void {
  const pieces: Piece[] = [];
  let extraMs = openMs;
  let timer: NodeJS.Timeout | undefined;
  const release = (): void => {
    timer = undefined;
    while (pieces[0] !== undefined && pieces[0].dueMs <= monotonicMs()) {
      const piece = pieces.shift();
      if (piece?.bytes === undefined) to.end();
      else to.write(piece.bytes);
    }
    // Timers of Node may fire up to a millisecond early; the loop looks at the clock and waits again.
    if (pieces[0] !== undefined) timer = setTimeout(release, Math.max(1, pieces[0].dueMs - monotonicMs()));
  };
  const hold = (bytes: Buffer | undefined): void => {
    pieces.push({ dueMs: monotonicMs() + delayMs + extraMs, bytes });
    timer ??= setTimeout(release, delayMs + extraMs);
    extraMs = 0;
  };
  from.on('data', hold);
  from.on('end', () => hold(undefined));
  from.on('error', () => to.destroy());
  to.on('close', () => {
    clearTimeout(timer);
    from.destroy();
  });
}

const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const target = connect({
    host: targetAddress,
    port: Number(targetPort),
    noDelay: true,
    allowHalfOpen: true,
  });
  carry(client, target, 2 * delayMs);
  carry(target, client, 0);
});
server.listen(Number(port), address, () => process.stdout.write('listening\n'));
