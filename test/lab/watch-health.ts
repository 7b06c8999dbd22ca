// A program: asks an agent for /healthz and /readyz again and again. It prints a line for each answer that differs from
// the one before, and for each slow answer: the wall clock in milliseconds, the path, the status or the reason why
// there is none, the duration of the answer in milliseconds, and its text.
//
//     node watch-health.js PORT EVERY_MS SLOW_MS
import { Agent, get } from 'node:http';
import { systemClock } from '../../agent/base/clock.ts';

const ANSWER_MS = 5_000;

const [port, everyMs, slowMs] = process.argv.slice(2).map(Number);
const connection = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(path: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, agent: connection }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => {
        text += piece;
      });
      answer.on('end', () => resolve(`${answer.statusCode} ${text.trim()}`));
    });
    request.setTimeout(ANSWER_MS, () => request.destroy(new Error('silent')));
    request.on('error', (error) => resolve(`none ${error.message}`));
  });
}

const last = new Map<string, string>();
for (;;) {
  for (const path of ['/healthz', '/readyz']) {
    const fromMs = systemClock.monotonicMs();
    const answer = await ask(path);
    const tookMs = Math.round(systemClock.monotonicMs() - fromMs);
    if (answer !== last.get(path) || tookMs >= (slowMs ?? 0)) {
      const [status = '', ...text] = answer.split(' ');
      process.stdout.write(`${systemClock.wallMs()} ${path} ${status} ${tookMs} ${text.join(' ')}\n`);
    }
    last.set(path, answer);
  }
  await systemClock.sleep(everyMs ?? 0);
}
