// A program: prints `asking`, waits until http://127.0.0.1:PORT/readyz answers 200, and prints the time of the
// monotonic clock. It asks every few milliseconds over one connection, for a precise measure of an agent's start.
//
//     node await-ready.js PORT TIMEOUT_MS EVERY_MS
import { Agent, get } from 'node:http';
import { systemClock } from '../../agent/base/clock.ts';
import { monotonicMs } from './process.ts';

const port = Number(process.argv[2]);
const timeoutMs = Number(process.argv[3]);
const everyMs = Number(process.argv[4]);
const connection = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/readyz', agent: connection }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(String(answer.statusCode)));
    });
    request.setTimeout(1_000, () => request.destroy(new Error('no answer within 1000 ms')));
    request.on('error', (error) => resolve(error.message));
  });
}

process.stdout.write('asking\n');
const end = monotonicMs() + timeoutMs;
let last = '';
while (last !== '200' && monotonicMs() < end) {
  last = await ask();
  if (last !== '200') await systemClock.sleep(everyMs);
}
if (last === '200') process.stdout.write(`${monotonicMs()}\n`);
else process.stderr.write(`/readyz on port ${port} is not 200 after ${timeoutMs} ms: ${last}\n`);
process.exitCode = last === '200' ? 0 : 1;
connection.destroy();
