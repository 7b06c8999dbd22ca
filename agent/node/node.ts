// One node: its loops, over contracts only. The same code runs on a real host and in a simulated cluster.
//
//     store events ─▶ lease table ─▶ plan ─▶ reconciler ─▶ kernel
//     lease holder ─▶ own subnet ──▶ plan, firewall, subnet.env
//     netlink events ─▶ host facts ─▶ plan, lease holder, subnet.env
//
// Events only ring bells; each loop works at its own pace. The objects in the kernel outlive the process.
import { readNetwork } from '../../backends/index.ts';
import { messageOf } from '../base/errors.ts';
import { runTasks } from '../base/tasks.ts';
import { Reconciler } from '../kernel/reconciler.ts';
import type { TableChange } from '../lease/lease-table.ts';
import { type Condition, failingFirst } from '../model/condition.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import { formatPrefix } from '../model/ip.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';
import { gauge, type Metric } from '../observe/metrics.ts';
import { createWatchdog } from '../observe/watchdog.ts';
import { DataPlaneKeeper } from './data-plane-keeper.ts';
import { HostFollower } from './host-follower.ts';
import { LIMITS } from './limits.ts';
import { NodeNetwork } from './network.ts';
import { StoreFollower } from './store-follower.ts';
import { watchWorld } from './watched-world.ts';
import type { NodeWorld } from './world.ts';

export interface Node {
  /**
   * Runs the node until `signal` is aborted. The data path, the lease and the handed-off values stay as they are.
   *
   * Fails where the operator has to act: wrong configuration, a host that cannot carry it, no free subnet, another
   * live node with our address. A datastore that does not answer is waited for.
   */
  run(signal: AbortSignal): Promise<void>;
  /** Why this node is not ready, faults first; empty: it is. */
  readonly conditions: () => readonly Condition[];
  /** The call that hangs, in one line: only a restart helps. Undefined: none. A loop that ends ends `run`. */
  readonly hangs: () => string | undefined;
  readonly metrics: () => readonly Metric[];
}

export function createNode(options: NodeOptions, bareWorld: NodeWorld): Node {
  const watchdog = createWatchdog(bareWorld.clock);
  const world = watchWorld(bareWorld, watchdog);
  const { leaseSource, configSource, kernel, clock, random, log } = world;
  const reconciler = new Reconciler({ kernel, clock, random, log: log.for('kernel') });
  const { onLarge } = world;
  const follower = new StoreFollower({ leaseSource, configSource, clock, random, log, onLarge });
  const dataPlane = new DataPlaneKeeper({ memory: world.dataPlaneMemory, clock, log });
  let hostFollower: HostFollower | undefined;
  let network: NodeNetwork | undefined;

  const conditions = (): readonly Condition[] =>
    failingFirst([
      ...follower.conditions(),
      ...(hostFollower?.conditions() ?? []),
      ...watchdog.conditions(LIMITS.slowCallMs),
      ...(network?.conditions() ?? []),
      ...dataPlane.conditions(),
      ...reconciler.conditions(),
    ]);

  const serve = async (host: HostFollower, signal: AbortSignal): Promise<void> => {
    const { table } = follower;
    follower.listen((_, change) => noticeLeases(change, host));
    const { config, backend } = await readNetwork(await follower.configText(signal), configSource.where);
    log.info(`network ${formatPrefix(config.network)}`, {
      backend: config.backendIsDefault ? `${backend.type} (none is configured)` : backend.type,
      mtu: backend.mtuBytes(host.facts.underlay),
    });
    const firewall = await findFirewall(config, signal);
    dataPlane.use(backend, config);
    const deps = { ...world, options, host, table, reconciler, config, backend, firewall, dataPlane };
    const started = new NodeNetwork(deps);
    network = started;
    follower.listen((event, change) => {
      noticeLeases(change, host);
      started.notice(event, change, signal);
    });
    host.listen((change) => started.noticeHost(change));
    await started.run(signal);
  };

  const noticeLeases = ({ leases }: TableChange, host: HostFollower): void => {
    if (leases === 'all' || leases.length > 0) dataPlane.noticeLeases(follower.table, host.facts);
  };

  const findFirewall = async (
    config: NetworkConfig,
    signal: AbortSignal,
  ): Promise<NodeFirewall | undefined> => {
    try {
      return await world.openFirewall(config, signal);
    } catch (error) {
      // A node that wants no rules needs no firewall.
      if (options.ipMasq || options.forwardRules) throw error;
      return undefined;
    }
  };

  const watchRuleset = async (signal: AbortSignal): Promise<void> => {
    try {
      await world.watchRuleset(() => network?.noticeRuleset(), signal);
    } catch (error) {
      log.info(`polling the firewall rules: ${messageOf(error)}`);
    }
  };

  return {
    async run(signal) {
      await using _dataPlane = dataPlane;
      const { hostSource } = world;
      const host = new HostFollower({ hostSource, clock, log }, await hostSource.read());
      hostFollower = host;
      await runTasks(signal, [
        (until) => host.run(until),
        (until) => reconciler.run(() => network?.noticeKernel(), until),
        async (until) => {
          await follower.run(until);
          if (!until.aborted) throw new Error('the watch of the datastore ended by itself');
        },
        watchRuleset,
        (until) => dataPlane.run(until),
        (until) => serve(host, until),
      ]);
      log.info('stopped; routes, rules and lease stay');
    },
    conditions,
    hangs: () => watchdog.conditions(LIMITS.hangingCallMs)[0]?.reason,
    metrics: () => [
      gauge('ready', 'Whether /readyz answers 200.', Number(conditions().length === 0)),
      gauge('leases', 'Leases in the datastore, our own among them.', follower.table.leaseCount),
      gauge(
        'malformed_entries',
        'Entries of the datastore that are no leases.',
        follower.table.malformedCount,
      ),
      {
        name: 'repaired_objects',
        help: 'Links, addresses, routes, neighbours and fdb entries put back after somebody else had changed them.',
        type: 'counter',
        samples: [{ value: reconciler.drift }],
      },
      ...dataPlane.metrics(),
    ],
  };
}
