// The time from a new lease in etcd until every host's kernel has its route, and the processor time that each agent
// spends on it. Leases come one at a time to idle agents, and then many at once. Before that, the same puts go where no
// agent looks for leases: they show the time of etcd itself, and the work of an idle agent.
import { systemClock } from '../../agent/base/clock.ts';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { LEASES_PREFIX, MANY_NETWORK, SUBNET_MAX, writeLeases } from '../lab/many-leases.ts';
import type { LabProcess } from '../lab/process.ts';
import { type Column, formatTable, formatVerdict, percentile, print } from '../lab/table.ts';
import { mapLimited, waitFor } from '../lab/wait.ts';
import { readCounts } from './arguments.ts';
import type { LeaseRound } from './lease-puts.ts';
import { benchProgram, countRoutes } from './measure.ts';
import { readProcessorMs } from './processor-time.ts';
import { parseRouteTimes, roundMs, startRouteWatch } from './route-watch.ts';

export const usage = `npm run bench -- converge [--changes N]               2 agents, 30 agents, 2 agents with 5000 leases
npm run bench -- converge --agents N [--leases N] [--changes N]

  --agents N    one network of N agents (default 2 where only --leases is given)
  --leases N    leases of other nodes that are there before (default none)
  --changes N   leases that come one at a time (default 50)
`;

/** Targets for leases that come one at a time; undefined: none. */
interface Targets {
  /** Milliseconds until the last route. */
  readonly p50Ms?: number;
  /** Processor milliseconds of one agent. */
  readonly workMs?: number;
}

/** A network to measure in. */
interface Network extends Targets {
  readonly agents: number;
  /** Number of leases of nodes without a host. */
  readonly leases: number;
}

const NETWORKS: readonly Network[] = [
  { agents: 2, leases: 0, p50Ms: 10, workMs: 2 },
  { agents: 30, leases: 0, p50Ms: 45, workMs: 2 },
  { agents: 2, leases: 5_000, workMs: 15 },
];
/** Target for the longest time until the last route, as a multiple of the median. */
const TARGET_RATIO = 4;

/** The rhythm of new leases: `atOnce` leases in each round, and rounds so far apart that the agents are idle again. */
interface Rhythm {
  readonly title: string;
  readonly rounds: number;
  readonly atOnce: number;
  readonly everyMs: number;
}

const BURST: Rhythm = { title: '20 at once', rounds: 5, atOnce: 20, everyMs: 2_000 };
const EVERY_MS = 300;

const NOBODYS_PREFIX = '/nobody';
const START_MS = 180_000;
const STARTS_AT_ONCE = 2;
const ROUTES_MS = 60_000;
/** Interval between two checks for the routes. It does not affect the measured times. */
const LOOK_MS = 200;
/** Wait after the last route, until agents are idle again. */
const SETTLE_MS = 1_000;
/** Wait after an agent's start, until it has collected its garbage. Before that its idle rate is too high. */
const CALM_MS = 5_000;
const SLACK_MS = 60_000;

interface Bed extends AsyncDisposable {
  readonly network: Network;
  readonly lab: Lab;
  readonly etcd: LabEtcd;
  readonly agents: readonly AgentProcess[];
  readonly observer: LabProcess;
}

/** Work in milliseconds of processor time. */
interface Work {
  readonly agents: number;
  readonly observer: number;
  readonly etcd: number;
}

/** Leases that came in one rhythm, and the work until every host had their routes. */
interface Passage {
  readonly rounds: readonly LeaseRound[];
  readonly work: Work;
  readonly tookMs: number;
}

const COLUMNS: readonly Column[] = [
  { title: 'agents' },
  { title: 'leases' },
  { title: 'new leases', align: 'left' },
  { title: 'last route, ms: p50' },
  { title: 'max' },
  { title: 'target', align: 'left' },
  { title: 'processor ms of an agent per lease' },
  { title: 'target', align: 'left' },
];

const BESIDE_COLUMNS: readonly Column[] = [
  { title: 'agents' },
  { title: 'leases' },
  { title: 'put answered, ms: p50' },
  { title: 'max' },
  { title: 'processor ms of an idle agent a second' },
  { title: 'of the observer per lease' },
  { title: 'of etcd per lease' },
];

/** Runs the benchmark and prints its tables. */
export async function run(args: readonly string[]): Promise<void> {
  const { agents, leases, changes } = readCounts(args, { agents: 0, leases: 0, changes: 50 });
  const networks = agents + leases === 0 ? NETWORKS : [{ agents: agents || 2, leases }];
  const alone: Rhythm = { title: 'one at a time', rounds: changes, atOnce: 1, everyMs: EVERY_MS };
  const { rounds, atOnce } = BURST;
  print(
    `\nFrom a new lease in etcd to its route on the last host, vxlan: ${changes} leases, ${rounds} bursts of ${atOnce}\n\n`,
  );
  const rows: string[][] = [];
  const besideRows: string[][] = [];
  for (const network of networks) {
    await using bed = await openBed(network);
    const unheard = await letLeasesCome(bed, alone, NOBODYS_PREFIX, 0);
    const single = await letLeasesCome(bed, alone, LEASES_PREFIX, network.leases);
    const burst = await letLeasesCome(bed, BURST, LEASES_PREFIX, network.leases + changes);
    const times = parseRouteTimes(await bed.observer.log());
    const timesOf = (passage: Passage): readonly number[] =>
      passage.rounds.map((round) => roundMs(times, round, network.agents) ?? Number.NaN);
    const workOf = (passage: Passage): number =>
      (passage.work.agents - (unheard.work.agents * passage.tookMs) / unheard.tookMs) /
      (leasesOf(passage) * network.agents);
    rows.push(formatRow(network, alone, timesOf(single), workOf(single), network));
    rows.push(formatRow(network, BURST, timesOf(burst), workOf(burst), {}));
    besideRows.push(formatBeside(network, unheard, single));
  }
  print(`${formatTable(COLUMNS, rows)}\n`);
  print('  The same puts where no agent looks for leases, and the work beside the agents\n\n');
  print(`${formatTable(BESIDE_COLUMNS, besideRows)}\n`);
}

async function openBed(network: Network): Promise<Bed> {
  const lab = await openLab({ hosts: network.agents });
  try {
    const etcd = await startLabEtcd(lab);
    await etcd.setNetwork({ Network: MANY_NETWORK, SubnetMax: SUBNET_MAX, Backend: { Type: 'vxlan' } });
    if (network.leases > 0) await writeLeases(lab, etcd, network.leases);
    const flags = [...etcd.flags, '--iface=eth0', `--healthz-port=${HEALTHZ_PORT}`];
    const agents = await mapLimited(lab.hosts, STARTS_AT_ONCE, async (host) => {
      const agent = host.startAgent(flags);
      await agent.waitReady(START_MS);
      return agent;
    });
    const routes = network.leases + network.agents - 1;
    await waitFor(`every host has ${routes} routes`, ROUTES_MS, async () => {
      const counts = await Promise.all(lab.hosts.map(countRoutes));
      return counts.every((count) => count >= routes);
    });
    await systemClock.sleep(CALM_MS);
    const observer = startRouteWatch(lab);
    return { network, lab, etcd, agents, observer, [Symbol.asyncDispose]: () => lab.close() };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** Writes leases in a rhythm, counted from `first`. Where agents look for them, waits for the routes on every host. */
async function letLeasesCome(bed: Bed, rhythm: Rhythm, prefix: string, first: number): Promise<Passage> {
  const { rounds, atOnce, everyMs } = rhythm;
  const numbers = [first, rounds, atOnce, everyMs].map(String);
  const argv = [...benchProgram('lease-puts'), bed.etcd.url, prefix, ...numbers];
  const startMs = systemClock.monotonicMs();
  const before = await readWork(bed);
  const printed = await bed.lab.router.run(argv, { timeoutMs: rounds * everyMs + SLACK_MS });
  const written = printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LeaseRound);
  if (prefix === LEASES_PREFIX) {
    const { agents } = bed.network;
    const probe = async (): Promise<boolean> => {
      const times = parseRouteTimes(await bed.observer.log());
      return written.every((round) => roundMs(times, round, agents) !== undefined);
    };
    await waitFor('every host has all routes', ROUTES_MS, probe, LOOK_MS);
  }
  await systemClock.sleep(SETTLE_MS);
  const after = await readWork(bed);
  const work = {
    agents: after.agents - before.agents,
    observer: after.observer - before.observer,
    etcd: after.etcd - before.etcd,
  };
  return { rounds: written, work, tookMs: systemClock.monotonicMs() - startMs };
}

function leasesOf({ rounds }: Passage): number {
  return rounds.reduce((sum, { subnets }) => sum + subnets.length, 0);
}

async function readWork({ agents, observer, etcd }: Bed): Promise<Work> {
  return {
    agents: await readProcessorMs(agents.map(({ pid }) => pid)),
    observer: await readProcessorMs([observer.pid]),
    etcd: await readProcessorMs(etcd.members.map(({ pid }) => pid)),
  };
}

function formatRow(
  { agents, leases }: Network,
  { title }: Rhythm,
  times: readonly number[],
  work: number,
  { p50Ms, workMs }: Targets,
): string[] {
  const sorted = times.toSorted((a, b) => a - b);
  const p50 = percentile(sorted, 50);
  const max = percentile(sorted, 100);
  const ratio = formatVerdict(`max ≤ ${TARGET_RATIO} × p50`, max <= TARGET_RATIO * p50);
  const target = p50Ms === undefined ? '' : `${formatVerdict(`p50 ≤ ${p50Ms}`, p50 <= p50Ms)}, ${ratio}`;
  return [
    ...[agents, leases].map(String),
    title,
    ...[p50, max].map((ms) => ms.toFixed(1)),
    target,
    work.toFixed(2),
    workMs === undefined ? '' : formatVerdict(`≤ ${workMs}`, work <= workMs),
  ];
}

function formatBeside({ agents, leases }: Network, unheard: Passage, single: Passage): string[] {
  const answers = unheard.rounds.flatMap(({ answersMs }) => answersMs).sort((a, b) => a - b);
  return [
    ...[agents, leases].map(String),
    ...[50, 100].map((percent) => percentile(answers, percent).toFixed(1)),
    ((unheard.work.agents / unheard.tookMs / agents) * 1_000).toFixed(2),
    ...[single.work.observer, single.work.etcd].map((work) => (work / leasesOf(single)).toFixed(2)),
  ];
}
