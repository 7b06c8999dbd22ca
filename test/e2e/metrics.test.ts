// The metrics of whole agents with vxlan and etcd. Those of udp and of Kubernetes are in the suites of these.
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { checkMetrics, promtoolFailure } from '../lab/promtool.ts';
import { scrape } from '../lab/scrape.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, title } from '../support/needs.ts';
import { readScrape, strangersIn } from '../support/scrape.ts';
import { useCluster } from './cluster.ts';

const FAILURE = await promtoolFailure();
const NEEDS_PROMTOOL = { missing: FAILURE !== undefined, reason: FAILURE ?? '' };
const NEEDS = allOf(NEEDS_CLUSTER, NEEDS_PROMTOOL);
const DAY_SECONDS = 86_400;
const KIBIBYTES = 1_024;
const SCRAPES = 60;
const SCRAPES_TAKE = 6 * KIBIBYTES;
/** Series of a node, udp and Kubernetes apart. */
const MOST_SERIES = 150;

describe.skipIf(NEEDS.missing)(title('the metrics of an agent', NEEDS), () => {
  const cluster = useCluster({ hosts: 2, backend: { Type: 'vxlan' }, containers: false });

  /** The peak of the first agent's memory. */
  const peakKibibytes = async (): Promise<number> => {
    const status = await readFile(`/proc/${cluster().agent(1).pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
  };
  /** Without a scrape. */
  let before = 0;
  beforeAll(async () => {
    before = await peakKibibytes();
  });

  it('the first scrape tells of what happened before it', async () => {
    const { namespace } = cluster().lab.host(2);
    for (let repair = 1; repair <= 3; repair++) {
      const routes = (): Promise<string> => namespace.run(['ip', 'route', 'show', 'proto', '84']);
      const [route = ''] = (await routes()).trim().split('\n');
      await namespace.run(['ip', 'route', 'delete', ...route.split(' ').filter((word) => word !== 'onlink')]);
      await waitFor('the route is back', 5_000, async () => (await routes()).includes(route.trim()));
    }
    const found = readScrape(await scrape(cluster().lab.host(2)));
    expect(found.get('twill_repaired_objects_total{kind="route"}')).toBe(3);
    expect(found.get('twill_kernel_passes_total{result="ok"}')).toBeGreaterThan(3);
    expect(found.get('twill_kernel_pass_duration_seconds_count')).toBe(
      found.get('twill_kernel_passes_total{result="ok"}'),
    );
  });

  it('promtool finds no fault, and every series is one of the table', async () => {
    const text = await scrape(cluster().lab.host(1));
    expect(await checkMetrics(text)).toBe('');
    expect(strangersIn(text)).toEqual([]);
    expect(readScrape(text).size).toBeLessThan(MOST_SERIES);
    expect(await checkMetrics('twill_cached_ms 1\n')).toContain('no help text');
  });

  it('a node tells its state, its lease, its peers, its requests and its process', async () => {
    const host = cluster().lab.host(1);
    const text = await scrape(host);
    const found = readScrape(text);
    const subnet = (await host.subnetEnv())?.subnet.replace('.1/', '.0/');
    const { version } = JSON.parse(await readFile(`${PROJECT_ROOT}/package.json`, 'utf8')) as {
      readonly version: string;
    };
    const told = {
      [`twill_build_info{version="${version}",node="${process.versions.node}",arch="${process.arch}"}`]: 1,
      [`twill_network_info{backend="vxlan",network="10.5.0.0/16",subnet="${subnet}",link="eth0"}`]: 1,
      twill_ready: 1,
      'twill_condition{part="lease",state="failing"}': 0,
      twill_mtu_bytes: 1_450,
      'twill_store_info{kind="etcd"}': 1,
      twill_store_connected: 1,
      twill_leases: 2,
      twill_malformed_entries: 0,
      'twill_peers{state="routed"}': 1,
      'twill_peers{state="faulty"}': 0,
      'twill_kernel_objects{kind="link"}': 1,
      'twill_store_requests_total{op="create",result="ok"}': 1,
      'twill_store_requests_total{op="watch",result="ok"}': 1,
      twill_firewall_obstacles: 0,
    };
    expect(Object.fromEntries(Object.keys(told).map((series) => [series, found.get(series)]))).toEqual(told);
    const now = systemClock.wallMs() / 1_000;
    const near = (series: string, seconds: number): void => {
      expect(Math.abs((found.get(series) ?? 0) - seconds), series).toBeLessThan(60);
    };
    near('twill_lease_expiry_timestamp_seconds', now + DAY_SECONDS);
    near('twill_store_last_contact_timestamp_seconds', now);
    near('process_start_time_seconds', now);
    expect(found.get('twill_subnets_free')).toBe(253);
    expect(found.get('process_cpu_seconds_total')).toBeGreaterThan(0.05);
  });

  it(`${SCRAPES} scrapes raise the peak of its memory by less than 6 MiB`, async () => {
    const program = `(async () => { for (let i = 0; i < ${SCRAPES}; i++) await (await fetch('http://127.0.0.1:8471/metrics')).text(); })()`;
    await cluster().lab.host(1).namespace.run([process.execPath, '-e', program], { timeoutMs: 30_000 });
    const grown = (await peakKibibytes()) - before;
    process.stdout.write(
      `${SCRAPES} scrapes: ${(grown / KIBIBYTES).toFixed(1)} MiB above a peak of ${(before / KIBIBYTES).toFixed(1)} MiB\n`,
    );
    expect(grown).toBeLessThan(SCRAPES_TAKE);
  });
});
