// The cost of the things of others on a host: firewall rules by the hundred thousand, routes, links with addresses and
// neighbours, all of which come and go. Two agents run at the same time, one on an empty host and one on a crowded
// host, so that the load of the machine is the same for both.
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Host, type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { monotonicMs } from '../lab/process.ts';
import { formatMs, formatTable, formatVerdict, median, print } from '../lab/table.ts';
import { waitFor } from '../lab/wait.ts';
import { readCounts } from './arguments.ts';
import { benchProgram } from './measure.ts';

export const usage = `npm run bench -- crowded [--rules N] [--routes N] [--links N] [--changes N] [--seconds N] [--runs N]

  --rules N     firewall rules of others (default 100000)
  --routes N    routes of others (default 10000)
  --links N     pairs of links of others, with addresses and neighbours (default 5000)
  --changes N   links, addresses, neighbours, routes and rules of others that come and go, each second (default 10)
  --seconds N   time in which processor time is measured (default 60)
  --runs N      faults of each kind (default 5)
`;

/** The firewalls: the program that the rules of others come by, and the network's choice for ours. */
const FIREWALLS = [
  { title: 'iptables on nftables', program: 'iptables-nft', enableNFTables: false },
  { title: 'the old iptables', program: 'iptables-legacy', enableNFTables: false },
  { title: 'nftables', program: 'nft', enableNFTables: true },
] as const;

type FirewallChoice = (typeof FIREWALLS)[number];

const READY_MS = 60_000;
const HEAL_MS = 90_000;
const FILL_MS = 120_000;
const SETTLE_MS = 15_000;
const RULES_IN_CHAIN = 10;
const TARGET_RATIO = 1.5;
/**
 * A smaller difference is too small to matter, or comes from the steps of the kernel's clock: 20 ms a minute is a third
 * of a thousandth of a processor.
 */
const SMALL_MS = { processor: 20, heal: 50, start: 100 };

interface Crowd {
  readonly rules: number;
  readonly routes: number;
  readonly links: number;
}

interface Measure {
  readonly startMs: number;
  /** A minute, while nothing changes on either host. */
  readonly quietMs: number;
  /** A minute, while things of others come and go on the crowded host. */
  readonly churnMs: number;
  readonly routeMs: number;
  readonly ruleMs: number;
}

/** Runs the benchmark and prints a table for each firewall. */
export async function run(args: readonly string[]): Promise<void> {
  const counts = readCounts(args, {
    rules: 100_000,
    routes: 10_000,
    links: 5_000,
    changes: 10,
    seconds: 60,
    runs: 5,
  });
  const { rules, routes, links, changes, seconds, runs } = counts;
  print(
    `\nAn empty host beside one with ${rules} rules, ${routes} routes and ${links} pairs of links of others,\n` +
      `of which ${changes} come and go each second; processor time in ${seconds} s, medians of ${runs} faults\n`,
  );
  for (const firewall of FIREWALLS) {
    await using lab = await openLab({ hosts: 2 });
    const store = await startLabEtcd(lab);
    const { enableNFTables } = firewall;
    await store.setNetwork({ Network: OVERLAY, EnableNFTables: enableNFTables, Backend: { Type: 'vxlan' } });
    const [empty, crowded] = await measureBoth(lab, store, firewall, counts);
    print(`\n${firewall.title}\n\n${formatMeasures(empty, crowded)}`);
  }
  print('\n');
}

async function measureBoth(
  lab: Lab,
  store: LabEtcd,
  firewall: FirewallChoice,
  { changes, seconds, runs, ...crowd }: Crowd & Readonly<Record<'changes' | 'seconds' | 'runs', number>>,
): Promise<readonly [Measure, Measure]> {
  const hosts = [lab.host(1), lab.host(2)] as const;
  await fill(hosts[1], firewall, crowd);
  const path = await pathWith(lab, firewall.program);
  const agents: AgentProcess[] = [];
  const starts: number[] = [];
  for (const host of hosts) {
    const flags = [...store.flags, '--iface=eth0', '--ip-masq', `--healthz-port=${HEALTHZ_PORT}`];
    const agent = host.startAgent(flags, { PATH: path });
    await agent.waitReady(READY_MS);
    starts.push(monotonicMs() - agent.process.startedMs);
    agents.push(agent);
  }
  await systemClock.sleep(SETTLE_MS);
  const quiet = await measureProcessors(agents, seconds);
  const churn = hosts[1].start('churn', [...benchProgram('host-churn'), String(changes), firewall.program]);
  await churn.waitForLine(/changing/, 10_000);
  await systemClock.sleep(SETTLE_MS);
  const churned = await measureProcessors(agents, seconds);
  const faults = agents.map(() => ({ routes: [] as number[], rules: [] as number[] }));
  // By turns, so that the load of the machine is the same for both.
  for (let i = 0; i < runs; i++) {
    for (const [index, agent] of agents.entries()) {
      const host = hosts[index];
      if (host === undefined) throw new Error('a host for each agent');
      const peer = await (hosts[1 - index] ?? host).waitForSubnetEnv();
      faults[index]?.routes.push(await measureRoute(host, agent, peer.subnet.replace(/\.1\//, '.0/')));
      faults[index]?.rules.push(await measureRule(host, agent, firewall));
    }
  }
  const measures = faults.map(
    ({ routes, rules }, index): Measure => ({
      startMs: starts[index] ?? Number.NaN,
      quietMs: quiet[index] ?? Number.NaN,
      churnMs: churned[index] ?? Number.NaN,
      routeMs: median(routes),
      ruleMs: median(rules),
    }),
  );
  if (!churn.isRunning) throw new Error(await churn.epitaph());
  const [empty, crowded] = measures;
  if (empty === undefined || crowded === undefined) throw new Error('there are two hosts');
  return [empty, crowded];
}

/** The processor time of each agent a minute. */
async function measureProcessors(
  agents: readonly AgentProcess[],
  seconds: number,
): Promise<readonly number[]> {
  const before = await Promise.all(agents.map(processorMsOf));
  await systemClock.sleep(seconds * 1_000);
  const after = await Promise.all(agents.map(processorMsOf));
  return after.map((ms, i) => ((ms - (before[i] ?? Number.NaN)) * 60) / seconds);
}

/** The processor time of an agent and of the programs that it ran and that have ended. */
async function processorMsOf({ pid }: AgentProcess): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

/** Milliseconds until the agent's log tells of another repair after the command. */
async function measureRepair(
  host: Host,
  agent: AgentProcess,
  command: readonly string[],
  repaired: RegExp,
): Promise<number> {
  const count = async (): Promise<number> =>
    (await agent.log()).split('\n').filter((line) => repaired.test(line)).length;
  const earlier = await count();
  await host.namespace.run(command);
  const from = monotonicMs();
  return waitFor(`${host.name}: ${command.join(' ')} is repaired`, HEAL_MS, async () => {
    if (!agent.process.isRunning) throw new Error(await agent.process.epitaph());
    return (await count()) > earlier && monotonicMs() - from;
  });
}

async function measureRoute(host: Host, agent: AgentProcess, subnet: string): Promise<number> {
  const command = ['ip', 'route', 'delete', subnet, 'proto', '84'];
  const ms = await measureRepair(host, agent, command, /repaired what somebody else had changed/);
  const route = await host.namespace.run(['ip', 'route', 'get', subnet.replace(/\.0\/.*/, '.7')]);
  if (!route.includes('flannel.')) throw new Error(`${host.name}: no route leads to ${subnet}: ${route}`);
  return ms;
}

async function measureRule(host: Host, agent: AgentProcess, { program }: FirewallChoice): Promise<number> {
  const command =
    program === 'nft'
      ? ['nft', 'flush', 'chain', 'ip', 'flannel-ipv4', 'forward']
      : [program, '-w', '5', '-D', 'FORWARD', '1'];
  const ms = await measureRepair(host, agent, command, /repaired the \S+ rules/);
  const list =
    program === 'nft'
      ? ['nft', 'list', 'chain', 'ip', 'flannel-ipv4', 'forward']
      : [program, '-S', 'FORWARD', '1'];
  const rules = await host.namespace.run(list);
  if (!/flanneld forward/.test(rules)) throw new Error(`${host.name}: our rule is missing: ${rules}`);
  return ms;
}

/** Fills a host with the things of others. */
async function fill(host: Host, { program }: FirewallChoice, { rules, routes, links }: Crowd): Promise<void> {
  const each = (count: number, line: (i: number, tail: string) => string): readonly string[] =>
    Array.from({ length: count }, (_, i) => line(i, `${200 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`));
  const network = [
    ...each(links, (i, tail) =>
      [
        `link add c${i} type veth peer name p${i}`,
        `address add 10.${tail}/32 dev c${i}`,
        `link set c${i} up`,
        `neigh add 11.${tail} lladdr 02:00:00:00:00:05 nud permanent dev c${i}`,
      ].join('\n'),
    ),
    ...each(routes, (_, tail) => `route add blackhole 12.${tail}/32`),
  ];
  await host.namespace.run(['ip', '-batch', '-'], { input: network.join('\n'), timeoutMs: FILL_MS });
  // As kube-proxy makes them: a chain for each service, with long comments.
  const chains = Math.ceil(rules / RULES_IN_CHAIN);
  const comment = 'x'.repeat(200);
  if (program === 'nft') {
    const file = join('/run', 'crowd.nft');
    const lines = [
      'add table ip others',
      ...each(chains, (i) => `add chain ip others c${i}`),
      ...each(rules, (i, tail) => `add rule ip others c${i % chains} ip saddr 13.${tail} counter accept`),
    ];
    await host.namespace.run(['sh', '-c', `cat > ${file}`], { input: lines.join('\n') });
    await host.namespace.run(['nft', '-f', file], { timeoutMs: FILL_MS });
    return;
  }
  const lines = [
    '*nat',
    ...each(chains, (i) => `:SERVICE-${i} - [0:0]`),
    ...each(
      rules,
      (i, tail) => `-A SERVICE-${i % chains} -s 13.${tail}/32 -m comment --comment "${comment}" -j ACCEPT`,
    ),
    'COMMIT\n',
  ];
  await host.namespace.run([`${program}-restore`], { input: lines.join('\n'), timeoutMs: FILL_MS });
}

/** A PATH on which `iptables` is that program. */
async function pathWith(lab: Lab, program: FirewallChoice['program']): Promise<string> {
  const usual = process.env['PATH'] ?? '';
  if (program === 'nft') return usual;
  const folder = join(lab.folder, program);
  await mkdir(folder);
  for (const end of ['', '-save', '-restore']) {
    await symlink(`/usr/sbin/${program}${end}`, join(folder, `iptables${end}`));
  }
  return `${folder}:${usual}`;
}

function formatMeasures(empty: Measure, crowded: Measure): string {
  const row = (name: string, of: (measure: Measure) => number, smallMs: number): readonly string[] => {
    const [a, b] = [of(empty), of(crowded)];
    const target = `≤ ${TARGET_RATIO}, or within ${smallMs} ms`;
    const isMet = b <= Math.max(TARGET_RATIO * a, a + smallMs);
    return [name, formatMs(a), formatMs(b), (b / a).toFixed(2), formatVerdict(target, isMet)];
  };
  const columns = [
    { title: '', align: 'left' as const },
    ...['empty', 'crowded', 'ratio'].map((title) => ({ title })),
    { title: 'target', align: 'left' as const },
  ];
  return formatTable(columns, [
    row('processor time a minute, all quiet', ({ quietMs }) => quietMs, SMALL_MS.processor),
    row('processor time a minute, others change', ({ churnMs }) => churnMs, SMALL_MS.processor),
    row('a deleted route is back after', ({ routeMs }) => routeMs, SMALL_MS.heal),
    row('a deleted rule is back after', ({ ruleMs }) => ruleMs, SMALL_MS.heal),
    row('ready after', ({ startMs }) => startMs, SMALL_MS.start),
  ]);
}
