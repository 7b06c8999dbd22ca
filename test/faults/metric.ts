// Metrics of an agent.
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { Host } from '../lab/host.ts';
import { labProgram } from '../lab/paths.ts';

/** Reads a metric without labels, by its name after `twill_`. Throws if the agent has no such metric. */
export async function readMetric(host: Host, name: string): Promise<number> {
  const url = `http://127.0.0.1:${HEALTHZ_PORT}/metrics`;
  const text = await host.namespace.run([...labProgram('http-get'), url]);
  const [, value] = new RegExp(`^twill_${name} (\\d+)$`, 'm').exec(text) ?? [];
  if (value === undefined) throw new Error(`${host.name} tells no metric ${name}`);
  return Number(value);
}
