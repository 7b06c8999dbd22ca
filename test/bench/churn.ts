// The cost of peers that come and go, at full load. One TCP stream takes the whole capacity. A steady stream of
// numbered datagrams beside it shows the losses: first with constant peers, then with ten of them added and removed
// each second. Losses without churn come from full queues of a machine at its limit.
import { readFile } from 'node:fs/promises';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { labProgram } from '../lab/paths.ts';
import { formatMemory, formatTable, formatVerdict, print } from '../lab/table.ts';
import { readCounts } from './arguments.ts';
import { type Bed, openBedOn } from './bed.ts';
import { loadTcp } from './iperf.ts';
import { loadDatagrams } from './load.ts';
import { benchProgram } from './measure.ts';

export const usage = `npm run bench -- churn [--seconds N] [--changes N] [--rate N]

  --seconds N   without churn, and again with it, in turns of at most 15 s (default 60)
  --changes N   peers added, and as many removed, each second (default 10)
  --rate N      datagrams a second of the steady stream (default 1000)
`;

const DATAGRAM_BYTES = 200;
const LONGEST_TURN_SECONDS = 15;
/** Margin before and after the steady stream, within the full load. */
const AROUND_MS = 1_500;
const TARGET_PEAK_KIBIBYTES = 90 * 1_024;

interface Sum {
  sent: number;
  lost: number;
  duplicates: number;
  late: number;
  bytes: number;
  ms: number;
}

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const { seconds, changes, rate } = readCounts(args, { seconds: 60, changes: 10, rate: 1_000 });
  const turns = Math.ceil(seconds / LONGEST_TURN_SECONDS);
  print(
    `\nudp at full load, ${changes} peers added and removed a second, ${seconds} s without and with, in ${turns} turns\n\n`,
  );
  await using bed = await openBedOn('udp', startLabEtcd);
  const quiet = emptySum();
  const churned = emptySum();
  let known = '';
  for (let turn = 0; turn < turns; turn += 1) {
    const forMs = (seconds * 1_000) / turns;
    await load(bed, quiet, forMs, rate);
    const numbers = [changes, seconds].map(String);
    const argv = [...benchProgram('lease-churn'), bed.store.url, ...numbers, await takenSubnets(bed)];
    const churn = bed.lab.start('churn', argv);
    await churn.waitForLine(/changing/, 5_000);
    await load(bed, churned, forMs, rate);
    known = await knownLeases(bed);
    if (!churn.isRunning) throw new Error(await churn.epitaph());
    await churn.stop('SIGKILL');
  }
  print(`${formatSums(quiet, churned)}\n`);
  print(`  Leases that the agent of h1 knew at the end of it: ${known}\n\n`);
  print(`${await formatPeaks(bed)}\n`);
}

/** The third bytes of the subnets of the existing hosts: `17,203`. */
async function takenSubnets(bed: Bed): Promise<string> {
  const envs = await Promise.all(bed.lab.hosts.map((host) => host.waitForSubnetEnv()));
  return envs.map(({ subnet }) => subnet.split('.')[2]).join(',');
}

/** The number of leases by each agent's own metric. It shows churn that no agent noticed. */
async function knownLeases(bed: Bed): Promise<string> {
  const { namespace } = bed.lab.host(1);
  const text = await namespace.run([...labProgram('http-get'), `http://127.0.0.1:${HEALTHZ_PORT}/metrics`]);
  return /^twill_leases (\d+)$/m.exec(text)?.[1] ?? 'unknown';
}

function emptySum(): Sum {
  return { sent: 0, lost: 0, duplicates: 0, late: 0, bytes: 0, ms: 0 };
}

async function load(bed: Bed<LabEtcd>, sum: Sum, forMs: number, rate: number): Promise<void> {
  const [tcp, { sent, counted }] = await Promise.all([
    loadTcp(bed, bed.first, bed.second, 1, forMs + AROUND_MS),
    loadDatagrams(bed, { bytes: DATAGRAM_BYTES, rate, forMs }),
  ]);
  sum.sent += sent.sent;
  sum.lost += sent.sent - (counted.received - counted.duplicates);
  sum.duplicates += counted.duplicates;
  sum.late += counted.late;
  sum.bytes += tcp.bytes;
  sum.ms += tcp.tookMs;
}

function formatSums(quiet: Sum, churned: Sum): string {
  const row = (name: string, sum: Sum, verdict: string): string[] => [
    name,
    ((sum.bytes * 8) / sum.ms / 1e6).toFixed(2),
    ...[sum.sent, sum.lost, sum.duplicates, sum.late].map(String),
    verdict,
  ];
  const columns = [
    { title: 'peers', align: 'left' as const },
    ...['TCP, Gb/s', 'datagrams', 'lost', 'doubled', 'out of order'].map((title) => ({ title })),
    { title: 'target', align: 'left' as const },
  ];
  const isMet = churned.lost <= quiet.lost && churned.duplicates <= quiet.duplicates;
  return formatTable(columns, [
    row('as they are', quiet, ''),
    row('coming and going', churned, formatVerdict('no more than without', isMet)),
  ]);
}

/** The largest resident memory of each agent since its start. */
async function formatPeaks(bed: Bed): Promise<string> {
  const peaks = await Promise.all(
    bed.agents.map(async ({ pid }) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN);
    }),
  );
  const columns = [{ title: 'agent', align: 'left' as const }, { title: 'peak memory' }, { title: 'target' }];
  const rows = peaks.map((peak, index) => [
    `${bed.lab.host(index + 1).name}, ${index === 0 ? 'sends' : 'receives'}`,
    formatMemory(peak),
    formatVerdict('90 MiB', peak <= TARGET_PEAK_KIBIBYTES),
  ]);
  return formatTable(columns, rows);
}
