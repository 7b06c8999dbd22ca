// The demo: hosts, a datastore, one agent a host, and proof that containers reach each other. It removes everything at
// its end, even after a failure. With `--keep` a successful demo stays.
import { messageOf } from '../../agent/base/errors.ts';
import type { Container } from './container.ts';
import { type LabDatastore, openFolder, startLabEtcd } from './datastore.ts';
import type { DemoEngine } from './engines/demo-engine.ts';
import { type Host, type Lab, OVERLAY, openLab } from './lab.ts';
import { createScreen, formatSeconds, type Screen } from './screen.ts';
import { showPings, showSources } from './show-pairs.ts';
import { labExists, labName, removeLab } from './sweep.ts';
import { type DemoDebian, showSystems } from './systemd/demo.ts';
import { measureThroughput } from './transfer.ts';
import { mapLimited, waitFor } from './wait.ts';

/** The checked options of the demo. */
export interface DemoOptions {
  readonly backend: string;
  readonly nodes: number;
  readonly store: 'file' | 'etcd';
  /** The engine of the containers; undefined: bare namespaces. */
  readonly engine: DemoEngine | undefined;
  /** The Debian that each host boots with systemd; undefined: the hosts are bare namespaces. */
  readonly debian: DemoDebian | undefined;
  /** Whether the hosts are whole nodes of Kubernetes. */
  readonly kubernetes: boolean;
  readonly keep: boolean;
  readonly remove: boolean;
}

/** The tag of the one lab that stays. It is fixed, so that a later demo finds the lab. */
const KEPT_TAG = 'demo';
const THROUGHPUT_MS = 1_000;
const LEASE_MS = 15_000;
const ROUTES_SHOWN = 5;

/** Runs the demo and returns its exit code: 0 only if every ping was answered. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const screen = createScreen(
    (text) => process.stdout.write(text),
    process.stdout.isTTY && !process.env['NO_COLOR'],
  );
  if (options.remove) {
    screen.line((await removeLab(KEPT_TAG)) ? 'demo: removed' : 'demo: there was nothing to remove');
    return 0;
  }
  if (options.keep && (await labExists(KEPT_TAG))) {
    throw new Error('an earlier demo was kept: remove it with npm run demo -- --remove');
  }
  const tag = options.keep ? KEPT_TAG : `${process.pid}-demo`;
  const stop = stopOnSignals();
  let work: Promise<boolean> | undefined;
  let kept = false;
  try {
    work = choose(options, tag, screen, stop.signal);
    const isGood = await Promise.race([work, stop.whenAborted]);
    kept = options.keep && isGood;
    return isGood ? 0 : 1;
  } catch (error) {
    process.stderr.write(`\ndemo: ${messageOf(error)}\n`);
    return stop.signal.aborted ? 130 : 1;
  } finally {
    if (!kept) {
      // Twice: the first makes running steps fail at once, the second removes the leftovers of those steps.
      await removeLab(tag);
      await work?.catch(() => undefined);
      await removeLab(tag);
    }
    stop.off();
  }
}

async function choose(
  options: DemoOptions,
  tag: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  const { backend, debian, kubernetes } = options;
  if (kubernetes) return (await import('./kubernetes/demo.ts')).showKubernetes(backend, tag, screen, signal);
  return debian === undefined
    ? show(options, tag, screen, signal)
    : showSystems({ ...options, debian }, tag, screen, signal);
}

async function show(
  options: DemoOptions,
  tag: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  const { backend, nodes } = options;
  screen.line(`\nTwill demo: ${nodes} hosts, backend ${backend}, datastore ${options.store}\n`);
  const lab = await openLab({ hosts: nodes, tag });
  signal.throwIfAborted();
  screen.step('Underlay', `${nodes} hosts on 192.168.77.0/24, each with eth0 and docker0`);

  const store = options.store === 'etcd' ? await startLabEtcd(lab) : openFolder(lab);
  const network = { Network: OVERLAY, Backend: { Type: backend } };
  await store.setNetwork(network);
  signal.throwIfAborted();
  screen.step('Datastore', store.name);
  screen.detail(JSON.stringify(network));

  screen.step('Agents', `starting ${nodes}`);
  await startAgents(lab, store, screen);
  signal.throwIfAborted();

  await showRoutes(lab.host(1), nodes - 1, screen);
  const containers = await startContainers(lab, options.engine);
  signal.throwIfAborted();
  screen.step(
    'Containers',
    `${options.engine === undefined ? '' : `${options.engine.title}, `}one a host, ${containers
      .map(({ name, address }) => `${name} ${address}`)
      .slice(0, 3)
      .join(', ')}${nodes > 3 ? ', …' : ''}`,
  );

  const { answered, pairs } = await showPings(containers, screen);
  signal.throwIfAborted();

  const areTrue = options.engine === undefined || (await showSources(containers, screen));
  const [first, second] = containers;
  if (first !== undefined && second !== undefined && answered === pairs) {
    const { gigabitsPerSecond, received } = await measureThroughput(first, second, THROUGHPUT_MS);
    const amount = `${(received.bytes / 1e9).toFixed(2)} GB in ${formatSeconds(received.tookMs)}`;
    screen.step(
      'Throughput',
      `${first.name} to ${second.name}: ${gigabitsPerSecond.toFixed(1)} Gb/s over one TCP connection (${amount})`,
    );
  }
  signal.throwIfAborted();
  const isGood = answered === pairs && areTrue;
  const fault =
    answered === pairs
      ? 'Containers see other addresses than those of the containers that connect'
      : `${pairs - answered} pairs do not reach each other`;
  const verdict = isGood ? 'Every container reaches every other one' : fault;
  screen.line(`\n${verdict}. ${formatSeconds(screen.elapsedMs())} in total.\n`);
  if (options.keep && isGood) showWayAround(lab, screen);
  return isGood;
}

// Agents start at the same time. Each lease is printed when it appears, not in the order of the hosts.
async function startAgents(lab: Lab, store: LabDatastore, screen: Screen): Promise<void> {
  const startMs = screen.elapsedMs();
  await Promise.all(
    lab.hosts.map(async (host) => {
      const agent = host.startAgent([...store.flags, '--iface=eth0', '--ip-masq']);
      const env = await host.waitForSubnetEnv(LEASE_MS, agent);
      const ms = Math.round(screen.elapsedMs() - startMs);
      const subnet = env.subnet.replace(/\.1\//, '.0/');
      screen.detail(
        `${host.name.padEnd(3)} ${host.address.padEnd(14)} took ${subnet.padEnd(16)} mtu ${env.mtuBytes}  after ${ms} ms`,
      );
    }),
  );
}

async function startContainers(lab: Lab, engine: DemoEngine | undefined): Promise<readonly Container[]> {
  return mapLimited(lab.hosts, 4, async (host) => {
    if (engine === undefined) return host.addContainer();
    const running = await engine.start(host, await host.waitForSubnetEnv());
    const container = await running.run(`c${host.name.slice(1)}`);
    host.containers.push(container);
    return container;
  });
}

async function showRoutes(host: Host, expected: number, screen: Screen): Promise<void> {
  const lines = await waitFor(`${host.name} has ${expected} routes`, LEASE_MS, async () => {
    const text = await host.namespace.run(['ip', '-4', 'route']);
    const overlay = text.split('\n').filter((line) => line.startsWith('10.5.') && line.includes('proto 84'));
    return overlay.length >= expected ? overlay : undefined;
  });
  screen.step('Routes', `of ${host.name}, as \`ip route\` prints them`);
  for (const line of lines.slice(0, ROUTES_SHOWN)) screen.quote(line.trim());
  if (lines.length > ROUTES_SHOWN) screen.quote(`… and ${lines.length - ROUTES_SHOWN} more`);
}

function showWayAround(lab: Lab, screen: Screen): void {
  const host = lab.host(1);
  const [from, to] = [lab.host(1), lab.host(2)].map(({ containers }) => containers[0]);
  const ways: readonly (readonly [string, string])[] = [
    ['a shell on h1', host.namespace.command(['bash']).join(' ')],
    ['ping between containers', from?.namespace.command(['ping', to?.address ?? '']).join(' ') ?? ''],
    [
      'routes and devices of h1',
      `ip -n ${labName(lab.tag, 'h1')} -d route; ip -n ${labName(lab.tag, 'h1')} -d link`,
    ],
    ["log of h1's agent", `tail -f ${lab.folder}/h1-agent-1.log`],
    ['remove all of it', 'npm run demo -- --remove'],
  ];
  screen.line('It keeps running. To look around:\n');
  for (const [what, command] of ways) screen.line(`  ${what.padEnd(26)}${command}`);
  screen.line();
}

interface Stop {
  readonly signal: AbortSignal;
  /** Never resolves; rejects when the demo is stopped. */
  readonly whenAborted: Promise<never>;
  off(): void;
}

// A second Ctrl-C must not interrupt the removal, so the signals stay caught until it is done. The end of the reader of
// our output stops the demo, too.
function stopOnSignals(): Stop {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: string): void => {
    if (controller.signal.aborted) process.stderr.write('demo: still removing, a moment\n');
    else controller.abort(new Error(`stopped by ${name}; removing everything`));
  };
  for (const name of signals) process.on(name, onSignal);
  const onBrokenPipe = (): void => controller.abort(new Error('nobody reads the output'));
  process.stdout.on('error', onBrokenPipe);
  process.stderr.on('error', onBrokenPipe);
  const whenAborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error));
  });
  whenAborted.catch(() => undefined);
  return {
    signal: controller.signal,
    whenAborted,
    off: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
