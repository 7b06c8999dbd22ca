// A program: writes leases of nodes without a host, AT_ONCE of them every EVERY_MS, counted from FIRST. At its end
// it prints one LeaseRound a line as JSON. The leases stay.
//
//     node lease-puts.js URL PREFIX FIRST ROUNDS AT_ONCE EVERY_MS
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import { leaseKey, leaseOf } from '../lab/many-leases.ts';

/** One round: leases written at once. */
export interface LeaseRound {
  readonly subnets: readonly string[];
  /** The moment before the first put of the round, in milliseconds of the wall clock. */
  readonly sentMs: number;
  /** Milliseconds from there until the answer to each put. */
  readonly answersMs: readonly number[];
}

const SESSION_SECONDS = 3_600;
/** Puts before the first round: they open the connection and warm up the code. */
const WARM_UP = 5;

const [url = '', prefix = ''] = process.argv.slice(2);
const [first = 0, rounds = 0, atOnce = 0, everyMs = 0] = process.argv.slice(4).map(Number);
const noTls = { caFile: undefined, certFile: undefined, keyFile: undefined };
const noUser = { username: undefined, password: undefined };
await using kv = await openEtcdKv(
  { kind: 'etcd', endpoints: [url], prefix, ...noTls, ...noUser },
  { clock: systemClock, random: systemRandom },
);
const session = await kv.openSession(SESSION_SECONDS);

async function putRound(indexes: readonly number[]): Promise<LeaseRound> {
  const leases = indexes.map((index) => leaseOf(index));
  const sentMs = nowMs();
  const answersMs = await Promise.all(
    leases.map(async ({ subnet, value }) => {
      const entry = await kv.create(leaseKey(prefix, subnet), value, session);
      if (entry === undefined) throw new Error(`${subnet} is taken`);
      return nowMs() - sentMs;
    }),
  );
  return { subnets: leases.map(({ subnet }) => subnet), sentMs, answersMs };
}

// Date.now() knows whole milliseconds only.
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

for (let turn = 0; turn < WARM_UP; turn += 1) await kv.create(`/warm-up/${first}/${turn}`, '', session);
const written: LeaseRound[] = [];
const startMs = systemClock.monotonicMs();
for (let round = 0; round < rounds; round += 1) {
  await systemClock.sleep(Math.max(0, startMs + (round + 1) * everyMs - systemClock.monotonicMs()));
  written.push(await putRound(Array.from({ length: atOnce }, (_, index) => first + round * atOnce + index)));
}
process.stdout.write(written.map((each) => `${JSON.stringify(each)}\n`).join(''));
