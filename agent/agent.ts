// Brings all parts together: opens the real world, puts a node into it, and answers probes for it.
import { assertWritable } from './base/atomic-file.ts';
import { systemClock as clock } from './base/clock.ts';
import { allowGrowth, allowOptimising } from './base/engine.ts';
import { type TwillError, withHint } from './base/errors.ts';
import { exec } from './base/exec.ts';
import { createLogger, type Logger } from './base/log.ts';
import { systemRandom as random } from './base/random.ts';
import { runTasks } from './base/tasks.ts';
import { openFirewall } from './firewall/open-firewall.ts';
import { createTunnelFilter } from './firewall/tunnel-filter.ts';
import { engineForms, handOffFiles, retractAfterBoot } from './handoff/hand-off-files.ts';
import { createHostChecks } from './kernel/host-checks.ts';
import { createHostSource } from './kernel/host-facts.ts';
import { addressSets } from './kernel/netlink/address-sets.ts';
import { rulesetReader } from './kernel/netlink/ruleset.ts';
import { watchRuleset } from './kernel/netlink/ruleset-monitor.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { readTableSizes } from './kernel/old-iptables.ts';
import { NODE_CACHE } from './kubernetes/cache-path.ts';
import { type Condition, conditionsIn, createConditionSlot } from './model/condition.ts';
import type { DataPlaneMemory } from './model/data-plane-memory.ts';
import type { HandOff } from './model/hand-off.ts';
import type { Kernel } from './model/kernel.ts';
import { conditionMetric, single } from './model/metrics.ts';
import type { ChainsInUse } from './model/ruleset.ts';
import { Node } from './node/node.ts';
import { startHealthServer } from './observe/health.ts';
import { createServiceNotifier, type ServiceManager } from './observe/sd-notify.ts';
import { type OpenLeases, openLeases } from './open-leases.ts';
import type { AgentOptions } from './options.ts';
import { serveStatus } from './serve-status.ts';

/** The agent's input from its process. */
export interface AgentContext {
  readonly signal: AbortSignal;
  /** Undefined: none listens. */
  readonly serviceManager: ServiceManager | undefined;
  readonly dataPlaneMemory: DataPlaneMemory;
  /** The version of Twill. */
  readonly version: string;
}

/** Runs this host's node until `signal` is aborted. Everything stays in place then, see `Node.run`. Fails like it. */
export async function runAgent(options: AgentOptions, context: AgentContext): Promise<void> {
  const log = createLogger('twill', options.log);
  const forms = await engineForms(options.handOff, clock);
  for (const path of [options.subnetFile, ...forms.map((form) => form.path)]) await assertWritable(path);
  const handOff = handOffFiles({ subnetFile: options.subnetFile, forms, log });
  await retractAfterBoot(handOff, options.subnetFile);
  const notifier = createServiceNotifier({ manager: context.serviceManager, clock, log });
  const start = createConditionSlot('start', log, clock);
  start.wait('starting');
  /** Undefined before the leases are open. Probes are answered all the same. */
  let node: Node | undefined;
  let leases: OpenLeases | undefined;
  const hangs = (): string | undefined => node?.hangs();
  const conditions = (): readonly Condition[] => node?.conditions() ?? conditionsIn(start);
  await using _server =
    options.healthz &&
    (await startHealthServer({
      ...options.healthz,
      hangs,
      conditions,
      metrics: () => [
        single('twill_build_info', 1, {
          version: context.version,
          node: process.version.slice(1),
          arch: process.arch,
        }),
        ...(node?.metrics() ?? [single('twill_ready', 0), conditionMetric(conditions())]),
        ...(leases?.metrics() ?? []),
      ],
    }));
  await using statusService = await serveStatus(options, {
    node: () => node,
    conditions,
    version: context.version,
    clock,
    log,
  });
  const status = (): string | undefined => conditions()[0]?.reason ?? node?.summary();
  await runTasks(context.signal, [
    async (signal) => {
      const onFailure = (error: TwillError): void => start.fail(withHint(error), error.hint ?? error.message);
      const deps = { clock, random, log, onFailure, nodeCache: NODE_CACHE };
      await using opened = await openLeases(options, deps, signal);
      await using kernel = openNetlinkKernel();
      leases = opened;
      const onReady = async (summary: string): Promise<void> => {
        opened.noticeReady?.();
        statusService?.noticeReady();
        await notifier.ready(summary);
      };
      node = createNode({
        options,
        dataPlaneMemory: context.dataPlaneMemory,
        handOff,
        leases: opened,
        kernel,
        onReady,
        log,
      });
      await node.run(signal);
    },
    (signal) => notifier.run({ hangs, status }, signal),
    async (signal) => statusService?.run(signal),
  ]);
}

interface NodeParts {
  readonly options: AgentOptions;
  readonly dataPlaneMemory: DataPlaneMemory;
  readonly handOff: HandOff;
  readonly leases: OpenLeases;
  readonly kernel: Kernel;
  readonly onReady: (summary: string) => Promise<void>;
  readonly log: Logger;
}

/** Puts a node into the real world. */
function createNode({ options, dataPlaneMemory, handOff, leases, kernel, onReady, log }: NodeParts): Node {
  const { leaseSource, configSource, createHolder, addresses, publicIP, knownMac } = leases;
  const lastAddress = dataPlaneMemory.resumed?.input.planes[0]?.plane.end.address;
  const wish = { ...options, publicIP: publicIP ?? options.publicIP, lastAddress, knownMac };
  const chains: ChainsInUse = { names: undefined, changed: () => undefined };
  return new Node(
    { ...options, datastoreAddresses: addresses },
    {
      clock,
      random,
      log,
      leaseSource,
      configSource,
      createHolder,
      kernel,
      hostSource: createHostSource(wish),
      hostChecks: createHostChecks(),
      handOff,
      dataPlaneMemory,
      async openFirewall({ enableNFTables }) {
        const reads = { reader: rulesetReader, readSizes: readTableSizes, chains };
        return (await openFirewall({ enableNFTables, log: log.for('firewall'), exec, ...reads })).active;
      },
      tunnelFilter: createTunnelFilter({ exec, reader: rulesetReader, sets: addressSets }),
      watchRuleset: (onChange, signal) => watchRuleset(chains, onChange, signal),
      async onReady(summary) {
        allowOptimising();
        await onReady(summary);
      },
      onLarge: allowGrowth,
    },
  );
}
