// The only file that knows everybody: it wires the parts together and owns their life.
//
//     store events ─▶ lease table ─▶ plan ─▶ reconciler ─▶ kernel
//     lease keeper ─▶ own subnet ──▶ plan, firewall, subnet.env
//
// Events only ring bells; each loop does its work at its own pace. What stands in the kernel outlives us.
import { createBackend } from '../backends/index.ts';
import { assertWritable } from './base/atomic-file.ts';
import { systemClock as clock } from './base/clock.ts';
import { allowGrowth } from './base/engine.ts';
import { messageOf } from './base/errors.ts';
import { exec } from './base/exec.ts';
import { createLogger } from './base/log.ts';
import { systemRandom as random } from './base/random.ts';
import { runTasks } from './base/tasks.ts';
import { openLeaseStore } from './datastore/open-store.ts';
import { openFirewall } from './firewall/open-firewall.ts';
import { readHostFacts } from './kernel/host-facts.ts';
import { watchRuleset } from './kernel/netlink/ruleset-monitor.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { createReconciler } from './kernel/reconciler.ts';
import { LIMITS } from './limits.ts';
import { formatPrefix } from './model/ip.ts';
import { parseNetworkConfig } from './model/network-config.ts';
import { NodeNetwork } from './node-network.ts';
import { type Readiness, startHealthServer } from './observe/health.ts';
import { gauge, type Metric } from './observe/metrics.ts';
import { createServiceNotifier } from './observe/sd-notify.ts';
import { createTroubles } from './observe/troubles.ts';
import type { AgentOptions } from './options.ts';
import { StoreFollower } from './store-follower.ts';

/** What the agent gets from its process. */
export interface AgentContext {
  readonly signal: AbortSignal;
  /** Value of NOTIFY_SOCKET: where systemd waits to hear that we are ready. */
  readonly notifySocket: string | undefined;
}

/**
 * Runs the agent until the signal is aborted; the data path, the lease and the subnet file stay as they are.
 *
 * Fails where the operator has to act: wrong configuration, a host that cannot carry it, no free subnet, another
 * live node with our address. A datastore that does not answer is waited for.
 */
export async function runAgent(options: AgentOptions, context: AgentContext): Promise<void> {
  const log = createLogger('twill', options.logLevel);
  const host = await readHostFacts(options, options.publicIP);
  log.info(`using ${host.underlay.name}`, {
    address: host.underlay.address,
    public_ip: host.publicIP,
    mtu: host.underlay.mtuBytes,
    node: host.node.name,
  });
  await assertWritable(options.subnetFile);

  const troubles = createTroubles(log);
  troubles.wait('agent', 'starting');
  await using store = await openLeaseStore(options.datastore, { clock, random, log: log.for('datastore') });
  await using kernel = openNetlinkKernel();
  const reconciler = createReconciler({ kernel, clock, random, log: log.for('kernel') });
  const follower = new StoreFollower({ store, clock, log, troubles });
  let network: NodeNetwork | undefined;
  const isReady = (): Readiness => troubles.readiness(network?.trouble() ?? reconciler.status().trouble);
  const agentMetrics = (): Metric[] => [
    gauge('ready', 'Whether /readyz answers 200.', Number(isReady().ready)),
    gauge('leases', 'Leases in the datastore, our own among them.', follower.table.leases.length),
    gauge('malformed_entries', 'Entries of the datastore that are no leases.', follower.table.malformedCount),
    {
      name: 'repaired_objects',
      help: 'Links, addresses, routes, neighbours and fdb entries put back after somebody else had changed them.',
      type: 'counter',
      samples: [{ value: reconciler.status().drift }],
    },
  ];
  await using _server =
    options.healthz &&
    (await startHealthServer({
      ...options.healthz,
      isAlive: () => true,
      isReady,
      metrics: () => [...agentMetrics(), ...(network?.metrics() ?? [])],
    }));
  const notifier = createServiceNotifier({ socket: context.notifySocket, exec, log });

  const serve = async (signal: AbortSignal): Promise<void> => {
    const config = parseNetworkConfig(await follower.configText(signal), store.configPath);
    const backend = await createBackend(config.backend, store.configPath);
    log.info(`network ${formatPrefix(config.network)}`, {
      backend: config.backendIsDefault ? `${backend.type} (none is configured)` : backend.type,
      mtu: backend.mtuBytes(host),
    });
    const firewall = await findFirewall();
    const { table } = follower;
    // A large network is real work from the first moment on.
    if (table.leases.length > LIMITS.smallNetworkLeases) allowGrowth();
    const deps = {
      options,
      clock,
      random,
      log,
      troubles,
      host,
      store,
      table,
      reconciler,
      config,
      backend,
      firewall,
    };
    await using started = new NodeNetwork(deps);
    network = started;
    follower.listen((event) => started.notice(event, signal));
    const summary = await started.start(signal);
    allowGrowth();
    await notifier.ready(summary);
    await started.run(signal);

    async function findFirewall() {
      try {
        return (await openFirewall({ ...config, log: log.for('firewall'), exec })).active;
      } catch (error) {
        // Where no rules are wanted, none has to be installed.
        if (options.ipMasq || options.forwardRules) throw error;
        return undefined;
      }
    }
  };
  await runTasks(context.signal, [
    (signal) => reconciler.run(signal),
    (signal) => follower.run(signal),
    async (signal) => {
      try {
        await watchRuleset(() => network?.noticeRuleset(), signal);
      } catch (error) {
        log.info(`rules are looked at from time to time only: ${messageOf(error)}`);
      }
    },
    serve,
  ]);
  log.info('stopped; routes, rules and lease stay');
}
