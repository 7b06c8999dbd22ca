// A program: one of several processes that write the same file store.
//
//     node store-writer.js DIRECTORY claim AT_MS    claims one of 31 keys at that wall-clock time, and prints it
//     node store-writer.js DIRECTORY churn          creates and deletes a key until it is killed
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openFileKv } from '../../agent/datastore/file-kv.ts';

const KEYS = 31;

const [directory = '', task, at] = process.argv.slice(2);
const kv = await openFileKv({ directory, clock: systemClock, random: systemRandom });

if (task === 'churn') {
  process.stdout.write('begun\n');
  for (;;) {
    const entry = await kv.create(`/churn/${process.pid}`, 'x'.repeat(1_000), undefined);
    if (entry !== undefined) await kv.delete(entry);
  }
}

await systemClock.sleep(Math.max(0, Number(at) - systemClock.wallMs()));
const session = await kv.openSession(60);
for (;;) {
  const key = `/keys/${Math.floor(systemRandom() * KEYS)}`;
  if ((await kv.create(key, String(process.pid), session)) !== undefined) {
    process.stdout.write(`${key}\n`);
    break;
  }
}
await kv[Symbol.asyncDispose]();
