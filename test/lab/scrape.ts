// A scrape of an agent, as Prometheus does it.
import { HEALTHZ_PORT } from './agent-process.ts';
import type { Host } from './host.ts';
import { labProgram } from './paths.ts';

/** The text of the metrics of the agent on that host. */
export function scrape(host: Host): Promise<string> {
  return host.namespace.run([...labProgram('http-get'), `http://127.0.0.1:${HEALTHZ_PORT}/metrics`]);
}
