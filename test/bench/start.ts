// How long an agent takes from the start of its process until it is ready, and how much memory that needs: with
// two peers, or with thousands behind a long line.
import { parseArgs } from 'node:util';
import { type LabDatastore, type LabEtcd, openFolder, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, OVERLAY, openLab, ROUTER_ADDRESS } from '../lab/lab.ts';
import { MANY_NETWORK, writeLeases } from './leases.ts';
import { benchProgram, measureStart, type StartMeasure } from './measure.ts';
import { formatMemory, formatMs, formatTable, formatVerdict, median, print } from './table.ts';

export const usage = `npm run bench -- start [--runs N]                 with 2 peers, datastore folder and etcd
npm run bench -- start --leases N [--rtt MS]      with N peers in an etcd that is MS away
`;

const PEERS = 2;
const TARGET_READY_MS = 500;
const TARGET_PEAK_KIBIBYTES = 75 * 1_024;
/** For 5,000 leases and 10 ms. */
const TARGET_ROUTES_MS = 1_500;
const PROXY_PORT = 2_479;

/** Runs the benchmark and prints its tables. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { runs: { type: 'string' }, leases: { type: 'string' }, rtt: { type: 'string', default: '0' } },
  });
  const count = (name: 'runs' | 'leases' | 'rtt', fallback: number): number => {
    const text = values[name] ?? String(fallback);
    if (!/^\d{1,5}$/.test(text)) throw new Error(`--${name}: must be a whole number, is "${text}"`);
    return Number(text);
  };
  const leases = count('leases', 0);
  if (leases > 0) await benchMany(leases, count('rtt', 0), count('runs', 3));
  else await benchFew(count('runs', 10));
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
    const ready = measures.map(({ readyMs }) => readyMs);
    const peak = Math.max(...measures.map(({ peakKibibytes }) => peakKibibytes));
    rows.push([
      name,
      formatMs(median(ready)),
      formatMs(Math.min(...ready)),
      formatMs(Math.max(...ready)),
      formatMs(median(measures.map(({ routesMs }) => routesMs))),
      formatVerdict(`${TARGET_READY_MS} ms`, median(ready) <= TARGET_READY_MS),
      formatMemory(peak),
      formatVerdict('75 MiB', peak <= TARGET_PEAK_KIBIBYTES),
    ]);
  }
  print(
    formatTable(
      [
        { title: 'datastore', align: 'left' },
        { title: 'ready: median' },
        { title: 'min' },
        { title: 'max' },
        { title: 'routes: median' },
        { title: 'target' },
        { title: 'peak memory' },
        { title: 'target' },
      ],
      rows,
    ),
  );
  print('\n');
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
  const routes = measures.map(({ routesMs }) => routesMs);
  const isTargetCase = leases === 5_000 && rttMs === 10;
  print(
    formatTable(
      [
        { title: 'all routes: median' },
        { title: 'min' },
        { title: 'max' },
        { title: 'target' },
        { title: 'ready: median' },
        { title: 'requests a start' },
        { title: 'peak memory' },
      ],
      [
        [
          formatMs(median(routes)),
          formatMs(Math.min(...routes)),
          formatMs(Math.max(...routes)),
          isTargetCase ? formatVerdict(`${TARGET_ROUTES_MS} ms`, median(routes) <= TARGET_ROUTES_MS) : '-',
          formatMs(median(measures.map(({ readyMs }) => readyMs))),
          requests.toFixed(1),
          formatMemory(Math.max(...measures.map(({ peakKibibytes }) => peakKibibytes))),
        ],
      ],
    ),
  );
  print('\n');
}

async function startPeers(lab: Lab, store: LabDatastore): Promise<void> {
  for (const host of lab.hosts.slice(1)) {
    const agent = host.startAgent([...store.flags, '--iface=eth0', '--ip-masq']);
    await agent.waitForLine(/ ready: /);
  }
}

// One start more than is measured: the first on a machine reads the program from its disk, which is not what is
// measured.
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

/** Requests and streams that etcd has served so far, by its own count. */
async function requestCount(lab: Lab, etcd: LabEtcd): Promise<number> {
  const text = await lab.router.run([...benchProgram('http-get'), `${etcd.url}/metrics`]);
  const counts = [...text.matchAll(/^grpc_server_started_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, value]) => sum + Number(value), 0);
}
