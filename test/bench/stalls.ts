// The longest waits of packets beside a steady gigabit a second, over udp and over plain routing in turns. The
// machine's own stalls are in both.

import { formatTable, percentile, print } from '../lab/table.ts';
import { readCounts } from './arguments.ts';
import { BACKEND_TITLES, type BackendName, type Bed, withBeds } from './bed.ts';
import { loadTcp } from './iperf.ts';
import { measurePings } from './load.ts';

export const usage = `npm run bench -- stalls [--seconds N] [--megabits N] [--rate N]

  --seconds N    for each of the two ways (default 120)
  --megabits N   of the TCP stream beside the pings (default 1000)
  --rate N       pings a second, 64 bytes over UDP (default 1000)
`;

const BACKENDS: readonly BackendName[] = ['host-gw', 'udp'];
const LONGEST_TURN_SECONDS = 20;
/** The shortest wait that counts as a stall. */
const STALL_US = 10_000;
/** Margin before and after the pings, within the stream. */
const AROUND_MS = 1_500;

/** The figures of one way so far. */
interface WayRecord {
  sent: number;
  readonly timesUs: number[];
  bytes: number;
  ms: number;
}

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const options = readCounts(args, { seconds: 120, megabits: 1_000, rate: 1_000 });
  const { seconds, megabits, rate } = options;
  const turns = Math.ceil(seconds / LONGEST_TURN_SECONDS);
  print(
    `\nPings beside ${megabits} Mb/s of TCP, ${rate} a second for ${seconds} s each way, in ${turns} turns\n\n`,
  );
  await withBeds(BACKENDS, async (beds) => {
    const records = beds.map((): WayRecord => ({ sent: 0, timesUs: [], bytes: 0, ms: 0 }));
    for (let turn = 0; turn < turns; turn += 1) {
      for (const [index, bed] of beds.entries()) {
        const record = records[index];
        if (record !== undefined) await takeTurn(bed, record, (seconds * 1_000) / turns, megabits, rate);
      }
    }
    print(`${formatRecords(records)}\n`);
  });
}

async function takeTurn(bed: Bed, record: WayRecord, forMs: number, megabits: number, rate: number) {
  const stream = loadTcp(bed, bed.first, bed.second, 1, forMs + AROUND_MS, megabits);
  const [load, pings] = await Promise.all([stream, measurePings(bed, rate, forMs)]);
  record.sent += pings.sent;
  for (const time of pings.timesUs) record.timesUs.push(time);
  record.bytes += load.bytes;
  record.ms += load.tookMs;
}

function formatRecords(records: readonly WayRecord[]): string {
  const columns = [
    { title: 'milliseconds', align: 'left' as const },
    ...['Mb/s', 'pings', 'lost', 'p50', 'p99', 'p99.9', 'max', '10 ms and above'].map((title) => ({ title })),
  ];
  const rows = records.map(({ sent, timesUs, bytes, ms }, index) => {
    const sorted = [...timesUs].sort((a, b) => a - b);
    return [
      BACKEND_TITLES[BACKENDS[index] ?? 'udp'],
      String(Math.round((bytes * 8) / ms / 1_000)),
      String(sent),
      String(sent - sorted.length),
      ...[50, 99, 99.9, 100].map((percent) => (percentile(sorted, percent) / 1_000).toFixed(2)),
      String(sorted.filter((time) => time >= STALL_US).length),
    ];
  });
  return formatTable(columns, rows);
}
