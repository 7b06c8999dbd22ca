// A program: writes keys one after the other, as fast as etcd accepts them, over the gateway of its HTTP port. It reads
// one EtcdWrite a line as JSON until the end of its input, and prints the number of writes.
//
//     node etcd-writes.js URL
import { text } from 'node:stream/consumers';

/** A key to write; without a value, a key to delete. */
export interface EtcdWrite {
  readonly key: string;
  readonly value?: string;
}

const TIMEOUT_MS = 5_000;

const url = process.argv[2] ?? '';

async function call(path: string, body: object): Promise<void> {
  const answer = await fetch(`${url}/v3/kv/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${said.slice(0, 200)}`);
}

function base64(plain: string): string {
  return Buffer.from(plain).toString('base64');
}

const lines = (await text(process.stdin)).trim().split('\n');
for (const line of lines) {
  const { key, value } = JSON.parse(line) as EtcdWrite;
  await (value === undefined
    ? call('deleterange', { key: base64(key) })
    : call('put', { key: base64(key), value: base64(value) }));
}
process.stdout.write(`${lines.length}\n`);
