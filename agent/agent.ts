// Brings all parts together: opens the real world, puts a node into it, and answers probes for it.
import { assertWritable } from './base/atomic-file.ts';
import { systemClock as clock } from './base/clock.ts';
import { allowGrowth, allowOptimising } from './base/engine.ts';
import { exec } from './base/exec.ts';
import { createLogger } from './base/log.ts';
import { systemRandom as random } from './base/random.ts';
import { runTasks } from './base/tasks.ts';
import { openLeaseStore } from './datastore/open-store.ts';
import { openFirewall } from './firewall/open-firewall.ts';
import { createTunnelFilter } from './firewall/tunnel-filter.ts';
import { engineForms, handOffFiles } from './handoff/hand-off-files.ts';
import { createHostChecks } from './kernel/host-checks.ts';
import { createHostSource } from './kernel/host-facts.ts';
import { addressSets } from './kernel/netlink/address-sets.ts';
import { rulesetReader } from './kernel/netlink/ruleset.ts';
import { watchRuleset } from './kernel/netlink/ruleset-monitor.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { readTableSizes } from './kernel/old-iptables.ts';
import { KvLeaseHolder } from './lease/kv-lease-holder.ts';
import type { DataPlaneMemory } from './model/data-plane-memory.ts';
import { datastoreAddresses } from './model/datastore-options.ts';
import type { ChainsInUse } from './model/ruleset.ts';
import { Node } from './node/node.ts';
import { startHealthServer } from './observe/health.ts';
import { createServiceNotifier, type ServiceManager } from './observe/sd-notify.ts';
import type { AgentOptions } from './options.ts';

/** The agent's input from its process. */
export interface AgentContext {
  readonly signal: AbortSignal;
  /** Undefined: none listens. */
  readonly serviceManager: ServiceManager | undefined;
  readonly dataPlaneMemory: DataPlaneMemory;
}

/** Runs this host's node until `signal` is aborted. Everything stays in place then, see `Node.run`. Fails like it. */
export async function runAgent(options: AgentOptions, context: AgentContext): Promise<void> {
  const log = createLogger('twill', options.logLevel);
  const forms = await engineForms(options.handOff, clock);
  for (const path of [options.subnetFile, ...forms.map((form) => form.path)]) await assertWritable(path);
  await using store = await openLeaseStore(options.datastore, { clock, random, log: log.for('datastore') });
  await using kernel = openNetlinkKernel();
  const notifier = createServiceNotifier({ manager: context.serviceManager, clock, log });
  const lastRun = context.dataPlaneMemory.resumed?.input;
  const knownOptions = { ...options, datastoreAddresses: datastoreAddresses(options.datastore) };
  const chains: ChainsInUse = { names: undefined, changed: () => undefined };
  const node = new Node(knownOptions, {
    clock,
    random,
    log,
    leaseSource: store,
    configSource: store.config,
    createHolder: (input) =>
      new KvLeaseHolder({
        ...input,
        store,
        clock,
        random,
        renewMarginMinutes: options.renewMarginMinutes,
      }),
    kernel,
    hostSource: createHostSource({ ...options, lastAddress: lastRun?.planes[0]?.plane.end.address }),
    hostChecks: createHostChecks(),
    handOff: handOffFiles({ subnetFile: options.subnetFile, forms, log }),
    dataPlaneMemory: context.dataPlaneMemory,
    async openFirewall({ enableNFTables }) {
      const reads = { reader: rulesetReader, readSizes: readTableSizes, chains };
      return (await openFirewall({ enableNFTables, log: log.for('firewall'), exec, ...reads })).active;
    },
    tunnelFilter: createTunnelFilter({ exec, reader: rulesetReader, sets: addressSets }),
    watchRuleset: (onChange, signal) => watchRuleset(chains, onChange, signal),
    async onReady(summary) {
      allowOptimising();
      await notifier.ready(summary);
    },
    onLarge: allowGrowth,
  });
  const hangs = (): string | undefined => node.hangs();
  await using _server =
    options.healthz &&
    (await startHealthServer({
      ...options.healthz,
      hangs,
      conditions: () => node.conditions(),
      metrics: () => node.metrics(),
    }));
  const status = (): string | undefined => node.conditions()[0]?.reason ?? node.summary();
  await runTasks(context.signal, [
    (signal) => node.run(signal),
    (signal) => notifier.run({ hangs, status }, signal),
  ]);
}
