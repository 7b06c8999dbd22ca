// A program: writes and deletes leases of nodes without a host, over the gateway of etcd's HTTP port, at a fixed rate.
// Each change adds a lease or deletes the oldest one. It runs until it is stopped; then the leases expire.
//
//     node lease-churn.js URL CHANGES_A_SECOND SECONDS TAKEN,…       prints `changing`
//
// TAKEN are the third bytes of the subnets of existing nodes. The program never touches those.
import { systemClock } from '../../agent/base/clock.ts';

const TIMEOUT_MS = 5_000;
/** Peers that exist at a time. */
const PEERS = 20;
/** Subnets that take turns, at the addresses 192.168.77.100 to .149. */
const SUBNETS = 50;
const FIRST_NODE = 100;
const SLACK_SECONDS = 60;

const [url = '', perSecond, seconds, taken = ''] = process.argv.slice(2);
const takenBytes = new Set(taken.split(',').map(Number));
const bytes = Array.from({ length: 254 }, (_, index) => index + 1)
  .filter((byte) => !takenBytes.has(byte))
  .slice(0, SUBNETS);

async function call(path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${url}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
  return answer.json();
}

function keyOf(turn: number): string {
  return base64(`/coreos.com/network/subnets/10.5.${bytes[turn % SUBNETS]}.0-24`);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

const ttl = Number(seconds) + SLACK_SECONDS;
const { ID: lease } = (await call('lease/grant', { TTL: String(ttl) })) as { ID: string };
process.stdout.write('changing\n');
const startMs = systemClock.monotonicMs();
for (let turn = 0; ; turn += 1) {
  const value = JSON.stringify({
    PublicIP: `192.168.77.${FIRST_NODE + (turn % SUBNETS)}`,
    PublicIPv6: null,
    BackendType: 'udp',
  });
  await call('kv/put', { key: keyOf(turn), value: base64(value), lease });
  if (turn >= PEERS) await call('kv/deleterange', { key: keyOf(turn - PEERS) });
  const dueMs = startMs + ((turn + 1) * 1_000) / Number(perSecond);
  await systemClock.sleep(Math.max(0, dueMs - systemClock.monotonicMs()));
}
