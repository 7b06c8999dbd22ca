// Serves the agent's answers to probes. `/healthz`: is the agent alive? If not, restart it. `/readyz`: is this node's
// network complete? If not, send no traffic.
import { systemClock } from '../base/clock.ts';
import { withoutOptimising } from '../base/engine.ts';
import { printable } from '../base/printable.ts';
import type { Condition } from '../model/condition.ts';
import type { Metric } from '../model/metrics.ts';
import { type HttpAnswer, type HttpServer, startHttpServer } from './http-server.ts';

export interface HealthOptions {
  /** An address, a host name, or empty for all addresses. */
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** The call that hangs, in one line; undefined: none. Called for each request, like the next two. Must not block. */
  readonly hangs: () => string | undefined;
  /** Why the node is not ready; empty: it is. */
  readonly conditions: () => readonly Condition[];
  /** Content of `/metrics`, beside the numbers of the process. */
  readonly metrics: () => readonly Metric[];
}

/** Starts a server that answers probes. Fails as `host` when the address or port is not available. */
export function startHealthServer({
  ip,
  port,
  hangs,
  conditions,
  metrics,
}: HealthOptions): Promise<HttpServer> {
  return startHttpServer({
    ip,
    port,
    routes: {
      // Any answer shows that the event loop runs.
      '/healthz': () => {
        return answer(hangs(), 'ok');
      },
      '/readyz': () => answer(conditions()[0]?.reason, 'ready'),
      '/metrics': () => withoutOptimising(() => answerScrape(metrics)),
    },
  });
}

// The library and what it needs are loaded by the first scrape.
async function answerScrape(metrics: () => readonly Metric[]): Promise<HttpAnswer> {
  const { formatMetrics } = await import('./prometheus.ts');
  const { processMetrics } = await import('./process-metrics.ts');
  const body = await formatMetrics([...metrics(), ...processMetrics(systemClock)]);
  return { status: 200, body, contentType: 'text/plain; version=0.0.4; charset=utf-8' };
}

function answer(reason: string | undefined, well: string): HttpAnswer {
  return { status: reason === undefined ? 200 : 503, body: `${printable(reason ?? well)}\n` };
}
