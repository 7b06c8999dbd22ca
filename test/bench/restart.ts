// The packets that a restart of an agent loses: a container pings another while the agent of one host ends and starts
// again.
import { readFile } from 'node:fs/promises';
import { pingForever } from '../lab/ping.ts';
import type { LabProcess } from '../lab/process.ts';
import { formatTable, median, print } from '../lab/table.ts';
import { waitFor } from '../lab/wait.ts';
import { readCounts } from './arguments.ts';
import { BACKEND_TITLES, type BackendName, type Bed, withBeds } from './bed.ts';

export const usage = `npm run bench -- restart [--runs N]

  --runs N   restarts by each signal over each backend (default 5)
`;

const BACKENDS: readonly BackendName[] = ['host-gw', 'vxlan', 'udp'];
const SIGNALS = ['SIGTERM', 'SIGKILL'] as const;
const PING_EVERY_MS = 20;
/** Answers before the agent ends, and again after its return. */
const AROUND = 25;
const FLOW_MS = 20_000;

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const { runs } = readCounts(args, { runs: 5 });
  print(
    `\nPackets lost of a ping each ${PING_EVERY_MS} ms while an agent ends and starts again, ${runs} runs\n\n`,
  );
  const rows: string[][] = [];
  await withBeds(BACKENDS, async (beds) => {
    for (const bed of beds) {
      for (const signal of SIGNALS) {
        const losses: number[] = [];
        for (let run = 0; run < runs; run += 1) losses.push(await measureRestart(bed, signal));
        rows.push([
          BACKEND_TITLES[bed.backend],
          signal,
          String(median(losses)),
          String(Math.min(...losses)),
          String(Math.max(...losses)),
        ]);
      }
    }
  });
  const columns = [
    { title: 'backend', align: 'left' as const },
    { title: 'ended by', align: 'left' as const },
    ...['lost: median', 'lowest', 'highest'].map((title) => ({ title })),
  ];
  print(`${formatTable(columns, rows)}\n`);
}

async function measureRestart(bed: Bed, signal: (typeof SIGNALS)[number]): Promise<number> {
  await using pinging = bed.start(bed.first, pingForever(bed.second.address, PING_EVERY_MS));
  await moreAnswers(pinging);
  await bed.restartFirstAgent(signal);
  await moreAnswers(pinging);
  await pinging.stop('SIGINT');
  const numbers = new Set(await answers(pinging));
  // The end of ping may cut off the last packets, so only gaps before the last answer count.
  return Math.max(...numbers) - numbers.size;
}

async function moreAnswers(pinging: LabProcess): Promise<void> {
  const before = (await answers(pinging)).length;
  await waitFor(`${AROUND} more answers`, FLOW_MS, async () => {
    return (await answers(pinging)).length >= before + AROUND;
  });
}

async function answers(pinging: LabProcess): Promise<number[]> {
  const text = await readFile(pinging.logPath, 'utf8');
  return [...text.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number));
}
