// One start of an agent, measured from outside.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { LabDatastore } from '../lab/datastore.ts';
import type { Host } from '../lab/host.ts';
import { labProgram, PROJECT_ROOT, TWILL } from '../lab/paths.ts';
import { monotonicMs } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { readProcessorMs } from './processor-time.ts';

const LIMIT_MS = 180_000;
/** From this many routes on, checks are expensive, so they are less frequent. */
const MANY = 100;

/** The figures of one start. Times count from the start of the process. */
export interface StartMeasure {
  /** Milliseconds until /readyz is 200. */
  readonly readyMs: number;
  /** Milliseconds until the last route. */
  readonly routesMs: number;
  /** User and system time of the whole process until both, in milliseconds. The kernel counts in steps of 10. */
  readonly processorMs: number;
  /** Largest resident memory so far, in KiB. */
  readonly peakKibibytes: number;
  /** Anonymous memory when it is ready, in KiB: heaps and stacks, without the pages of files. */
  readonly anonymousKibibytes: number;
}

/** The command line of a helper program of the benchmarks. */
export function benchProgram(name: string): readonly [string, string] {
  return [process.execPath, join(PROJECT_ROOT, 'dist/lab/test/bench', `${name}.js`)];
}

/**
 * Starts an agent on a host without any state of ours, and measures until it is ready and has `routes` routes. Then
 * restores the host, except for the lease.
 */
export async function measureStart(host: Host, store: LabDatastore, routes: number): Promise<StartMeasure> {
  const flags = [...store.flags, '--iface=eth0', '--ip-masq'];
  await host.namespace.run([...TWILL, 'cleanup', ...flags], { timeoutMs: 60_000 });
  const log = `ready-${Math.round(monotonicMs())}`;
  const everyMs = routes < MANY ? 2 : 20;
  const asker = host.start(log, [
    ...labProgram('await-ready'),
    ...[HEALTHZ_PORT, LIMIT_MS, everyMs].map(String),
  ]);
  await asker.waitForLine(/asking/, 5_000);
  const agent = host.startAgent([...flags, `--healthz-port=${HEALTHZ_PORT}`]);
  try {
    const routesMs = await timeOfRoutes(host, agent, routes, everyMs);
    await asker.waitForExit(LIMIT_MS);
    const [processorMs, status, asked] = await Promise.all([
      readProcessorMs([agent.pid]),
      readFile(`/proc/${agent.pid}/status`, 'utf8'),
      asker.log(),
    ]);
    return {
      readyMs: Number(asked.trim().split('\n').at(-1)) - agent.process.startedMs,
      routesMs,
      processorMs,
      peakKibibytes: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]),
      anonymousKibibytes: Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]),
    };
  } finally {
    await agent.stop();
  }
}

async function timeOfRoutes(
  host: Host,
  agent: AgentProcess,
  routes: number,
  everyMs: number,
): Promise<number> {
  const look = async (): Promise<number | false> => {
    if (!agent.process.isRunning) throw new Error(await agent.process.epitaph());
    return (await countRoutes(host)) >= routes && monotonicMs() - agent.process.startedMs;
  };
  return waitFor(`${routes} routes`, LIMIT_MS, look, everyMs);
}

/**
 * Number of a host's routes by its vxlan device. /proc is the cheapest source: the observer must not take processor
 * time from the agent.
 */
export async function countRoutes(host: Host): Promise<number> {
  const table = await readFile(`/proc/${host.holder}/net/route`, 'utf8');
  return table.split('\n').filter((line) => line.startsWith('flannel.')).length;
}
