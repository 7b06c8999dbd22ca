// The memory and the processor time of an agent in a Kubernetes cluster: at its start, and while the Nodes of the
// cluster send their heartbeats. The API is a replay, over real TLS.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { makeAuthority } from '../lab/certificates.ts';
import type { Host } from '../lab/host.ts';
import { openLab } from '../lab/lab.ts';
import { formatMemory, formatTable, formatVerdict, print } from '../lab/table.ts';
import { waitFor } from '../lab/wait.ts';
import { readCounts } from './arguments.ts';
import { benchProgram, countRoutes } from './measure.ts';
import { readProcessorMs } from './processor-time.ts';

export const usage = `npm run bench -- memory [--nodes N] [--seconds N]

  --nodes N     Nodes of the cluster (default 100, 1000 and 5000, one after the other)
  --seconds N   time in which heartbeats are measured (default 60)
`;

/** KiB in one MiB. */
const MEBIBYTE = 1_024;
/** Largest memory by the number of Nodes, and the processor time of an hour with 5,000, in seconds. */
const PEAKS: ReadonlyMap<number, number> = new Map([
  [100, 60 * MEBIBYTE],
  [1_000, 64 * MEBIBYTE],
  [5_000, 85 * MEBIBYTE],
]);
const PROCESSOR: ReadonlyMap<number, number> = new Map([[5_000, 40]]);

const READY_MS = 30_000;
/** The engine compiles what has become hot, and collects the garbage of the start. */
const SETTLE_MS = 20_000;
const HOUR_S = 3_600;

interface Measure {
  /** VmHWM at the end, in KiB. */
  readonly peakKibibytes: number;
  /** VmRSS at the end, in KiB. */
  readonly steadyKibibytes: number;
  /** utime and stime until all routes stand, in milliseconds. */
  readonly startMs: number;
  /** utime and stime of one second of heartbeats, in milliseconds. */
  readonly msASecond: number;
  /** Bytes of both directions in one second of heartbeats, with the heads of all packets. */
  readonly bytesASecond: number;
}

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const { nodes, seconds } = readCounts(args, { nodes: 0, seconds: 60 });
  print(
    '\nAn agent in a Kubernetes cluster whose Nodes send their status every 5 minutes: vxlan, a replayed API over TLS.\n' +
      `Memory and processor time are those of /proc; an hour is extrapolated from ${seconds} s\n\n`,
  );
  const rows: string[][] = [];
  for (const count of nodes > 0 ? [nodes] : PEAKS.keys())
    rows.push(...rowsOf(count, await measure(count, seconds)));
  const titles = [
    { title: 'Nodes' },
    { title: 'figure', align: 'left' as const },
    { title: '' },
    { title: 'target' },
  ];
  print(`${formatTable(titles, rows)}\n`);
}

function rowsOf(count: number, figures: Measure): string[][] {
  const { peakKibibytes, steadyKibibytes, startMs, msASecond, bytesASecond } = figures;
  const row = (title: string, value: number, format: (value: number) => string, limit?: number): string[] => [
    String(count),
    title,
    format(value),
    limit === undefined ? '-' : formatVerdict(`≤ ${format(limit)}`, value <= limit),
  ];
  const seconds = (value: number): string => `${value.toFixed(1)} s`;
  return [
    row('peak memory (VmHWM)', peakKibibytes, formatMemory, PEAKS.get(count)),
    row('steady memory (VmRSS)', steadyKibibytes, formatMemory),
    row('processor time of the start', startMs / 1_000, seconds),
    row('processor time of an hour', (msASecond * HOUR_S) / 1_000, seconds, PROCESSOR.get(count)),
    row('bytes of an hour', bytesASecond * HOUR_S, (bytes) => `${(bytes / 1e6).toFixed(1)} MB`),
  ];
}

async function measure(count: number, seconds: number): Promise<Measure> {
  await using lab = await openLab({ hosts: 1 });
  const host = lab.host(1);
  const flags = await startApi(host, lab.folder, count);
  const agent = host.startAgent(flags, { NODE_NAME: 'node-0' });
  await agent.waitReady(READY_MS);
  await waitFor('all routes', READY_MS, async () => (await countRoutes(host)) >= count - 1, 200);
  const startMs = await readProcessorMs([agent.pid]);
  await systemClock.sleep(SETTLE_MS);
  const before = await readCosts(host, agent);
  await systemClock.sleep(seconds * 1_000);
  const after = await readCosts(host, agent);
  const status = await readFile(`/proc/${agent.pid}/status`, 'utf8');
  await agent.stop();
  const passedS = (after.atMs - before.atMs) / 1_000;
  return {
    peakKibibytes: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]),
    steadyKibibytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]),
    startMs,
    msASecond: (after.processorMs - before.processorMs) / passedS,
    bytesASecond: (after.bytes - before.bytes) / passedS,
  };
}

/** Starts the API on a host. Gives the flags of an agent there. */
async function startApi(host: Host, folder: string, count: number): Promise<readonly string[]> {
  const file = (name: string): string => join(folder, name);
  await makeAuthority(folder, 'api');
  const api = host.start('api', [...benchProgram('node-replay'), String(count), folder]);
  const port = /listening on (\d+)/.exec(await api.waitForLine(/listening on \d+/, READY_MS))?.[1];
  const cluster = { server: `https://127.0.0.1:${port}`, 'certificate-authority': file('api-ca.pem') };
  const kubeconfig = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster }],
    users: [{ name: 'u', user: { token: 'secret' } }],
  };
  await writeFile(file('kubeconfig'), JSON.stringify(kubeconfig));
  await writeFile(
    file('net-conf.json'),
    JSON.stringify({ Network: '10.128.0.0/9', Backend: { Type: 'vxlan' } }),
  );
  return [
    '--kube-subnet-mgr',
    `--kubeconfig-file=${file('kubeconfig')}`,
    `--net-config-path=${file('net-conf.json')}`,
    '--iface=eth0',
    '--ip-masq',
    `--healthz-port=${HEALTHZ_PORT}`,
  ];
}

interface Costs {
  readonly atMs: number;
  readonly processorMs: number;
  readonly bytes: number;
}

async function readCosts(host: Host, agent: AgentProcess): Promise<Costs> {
  const [processorMs, devices] = await Promise.all([
    readProcessorMs([agent.pid]),
    readFile(`/proc/${host.holder}/net/dev`, 'utf8'),
  ]);
  const bytes = Number(/^\s*lo:\s*(\d+)/m.exec(devices)?.[1]);
  return { atMs: systemClock.monotonicMs(), processorMs, bytes };
}
