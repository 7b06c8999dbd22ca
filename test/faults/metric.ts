// Metrics of an agent.
import type { Host } from '../lab/host.ts';
import { scrape } from '../lab/scrape.ts';

/** Reads a metric without labels, by its name after `twill_`. Throws if the agent has no such metric. */
export async function readMetric(host: Host, name: string): Promise<number> {
  const text = await scrape(host);
  const [, value] = new RegExp(`^twill_${name} (\\d+)$`, 'm').exec(text) ?? [];
  if (value === undefined) throw new Error(`${host.name} tells no metric ${name}`);
  return Number(value);
}
