// Waits for a wakeup for ever, again and again, and answers each with another.
import { workerData } from 'node:worker_threads';
import { attachWakeup, createArena, createPoller } from '../dist/index.js';

const wakeup = attachWakeup(workerData.wakeup);
const answer = attachWakeup(workerData.answer);
const poller = createPoller(createArena(65_536), [wakeup.fd]);
for (let i = 0; i < workerData.rounds; i += 1) {
  if (poller.wait(-1) !== 1) throw new Error('woken by nothing');
  wakeup.clear();
  Atomics.add(workerData.heard, 0, 1);
  answer.ring();
}
