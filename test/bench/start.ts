// The time from the start of an agent's process until it is ready, and its memory: with two peers, and with thousands
// behind a long line.
import { type LabDatastore, type LabEtcd, openFolder, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, OVERLAY, openLab, ROUTER_ADDRESS } from '../lab/lab.ts';
import { MANY_NETWORK, writeLeases } from '../lab/many-leases.ts';
import { labProgram } from '../lab/paths.ts';
import { formatMemory, formatMs, formatTable, formatVerdict, median, print } from '../lab/table.ts';
import { readCounts } from './arguments.ts';
import { benchProgram, measureStart, type StartMeasure } from './measure.ts';

export const usage = `npm run bench -- start [--runs N]                 with 2 peers, datastore folder and etcd
npm run bench -- start --leases N [--rtt MS]      with N peers in an etcd that is MS away

  --runs N   starts that are measured (default 5), after one that is not
`;

const PEERS = 2;
const PROXY_PORT = 2_479;
/** KiB in one MiB. */
const MEBIBYTE = 1_024;

/** Limits of a start. */
interface Target {
  readonly readyMs?: number;
  readonly routesMs?: number;
  readonly processorMs?: number;
  readonly peakKibibytes?: number;
}

const FEW_TARGET: Target = { readyMs: 450, processorMs: 450, peakKibibytes: 54 * MEBIBYTE };
const NEAR_TARGETS: ReadonlyMap<number, Target> = new Map([
  [1_000, { processorMs: 900, peakKibibytes: 64 * MEBIBYTE }],
  [5_000, { processorMs: 2_200, peakKibibytes: 85 * MEBIBYTE }],
]);
/** Target for 5,000 leases and 10 ms. */
const FAR_TARGET: Target = { routesMs: 1_500 };

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const { runs, leases, rtt } = readCounts(args, { runs: 5, leases: 0, rtt: 0 });
  if (leases > 0) await benchMany(leases, rtt, runs);
  else await benchFew(runs);
}

async function benchFew(runs: number): Promise<void> {
  print(
    `\nStart of an agent with ${PEERS} peers, vxlan, ${runs} starts, each on a host that was cleaned up\n\n`,
  );
  const rows: string[][] = [];
  for (const [name, open] of [
    ['folder', openFolder],
    ['etcd', startLabEtcd],
  ] as const) {
    await using lab = await openLab({ hosts: PEERS + 1 });
    const store: LabDatastore = await open(lab);
    await store.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
    await startPeers(lab, store);
    const measures = await repeat(runs, () => measureStart(lab.host(1), store, PEERS));
    rows.push(...rowsOf(name, measures, FEW_TARGET));
  }
  printFigures(rows);
}

async function benchMany(leases: number, rttMs: number, runs: number): Promise<void> {
  print(
    `\nStart of an agent with ${leases} peers, vxlan, etcd ${rttMs} ms away, ${runs} starts, each on a host that was cleaned up\n\n`,
  );
  await using lab = await openLab({ hosts: 1 });
  const etcd = await startLabEtcd(lab);
  await etcd.setNetwork({ Network: MANY_NETWORK, Backend: { Type: 'vxlan' } });
  await writeLeases(lab, etcd, leases);
  const store = rttMs === 0 ? etcd : await putFarAway(lab, etcd, rttMs);
  const before = await requestCount(lab, etcd);
  const measures = await repeat(runs, () => measureStart(lab.host(1), store, leases));
  const requests = ((await requestCount(lab, etcd)) - before) / (runs + 1);
  const near = rttMs === 0 ? NEAR_TARGETS.get(leases) : undefined;
  const target = leases === 5_000 && rttMs === 10 ? FAR_TARGET : (near ?? {});
  printFigures(rowsOf('etcd', measures, target));
  print(`  ${requests.toFixed(1)} requests a start\n\n`);
}

function printFigures(rows: readonly (readonly string[])[]): void {
  const titles = ['median', 'min', 'max', 'target'];
  print(
    formatTable(
      [
        { title: 'datastore', align: 'left' },
        { title: 'figure', align: 'left' },
        ...titles.map((title) => ({ title })),
      ],
      rows,
    ),
  );
  print('\n');
}

function rowsOf(datastore: string, measures: readonly StartMeasure[], target: Target): readonly string[][] {
  const row = (
    title: string,
    of: (measure: StartMeasure) => number,
    format: (value: number) => string,
    limit: number | undefined,
  ): string[] => {
    const values = measures.map(of);
    const middle = median(values);
    const verdict = limit === undefined ? '-' : formatVerdict(`≤ ${format(limit)}`, middle <= limit);
    const spread = [middle, Math.min(...values), Math.max(...values)].map(format);
    return [datastore, title, ...spread, verdict];
  };
  return [
    row('ready', ({ readyMs }) => readyMs, formatMs, target.readyMs),
    row('all routes', ({ routesMs }) => routesMs, formatMs, target.routesMs),
    row('processor time', ({ processorMs }) => processorMs, formatMs, target.processorMs),
    row('peak memory', ({ peakKibibytes }) => peakKibibytes, formatMemory, target.peakKibibytes),
    row('anonymous memory', ({ anonymousKibibytes }) => anonymousKibibytes, formatMemory, undefined),
  ];
}

async function startPeers(lab: Lab, store: LabDatastore): Promise<void> {
  for (const host of lab.hosts.slice(1)) {
    const agent = host.startAgent([...store.flags, '--iface=eth0', '--ip-masq']);
    await agent.waitForLine(/ ready: /);
  }
}

// Makes one start more than it measures: the first one on a machine reads the program from disk.
async function repeat(runs: number, start: () => Promise<StartMeasure>): Promise<StartMeasure[]> {
  await start();
  const measures: StartMeasure[] = [];
  for (let run = 0; run < runs; run++) measures.push(await start());
  return measures;
}

async function putFarAway(lab: Lab, etcd: LabEtcd, rttMs: number): Promise<LabDatastore> {
  const argv = [
    ...benchProgram('delay-proxy'),
    ROUTER_ADDRESS,
    String(PROXY_PORT),
    ROUTER_ADDRESS,
    '2379',
    String(rttMs / 2),
  ];
  const proxy = lab.start('proxy', argv);
  await proxy.waitForLine(/listening/, 5_000);
  return { ...etcd, flags: [`--etcd-endpoints=http://${ROUTER_ADDRESS}:${PROXY_PORT}`] };
}

/** Requests and streams that etcd has served so far, by its own metrics. */
async function requestCount(lab: Lab, etcd: LabEtcd): Promise<number> {
  const text = await lab.router.run([...labProgram('http-get'), `${etcd.url}/metrics`]);
  const counts = [...text.matchAll(/^grpc_server_started_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, value]) => sum + Number(value), 0);
}
