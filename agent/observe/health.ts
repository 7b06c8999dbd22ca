// Serves the agent's answers to probes. `/healthz`: is the agent alive? If not, restart it. `/readyz`: is this node's
// network complete? If not, send no traffic.
import { printable } from '../base/printable.ts';
import type { Condition } from '../model/condition.ts';
import { type HttpAnswer, type HttpServer, startHttpServer } from './http-server.ts';
import { formatMetrics, METRICS_TYPE, type Metric } from './metrics.ts';

export interface HealthOptions {
  /** An address, a host name, or empty for all addresses. */
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** The call that hangs, in one line; undefined: none. Called for each request, like the next two. Must not block. */
  readonly hangs: () => string | undefined;
  /** Why the node is not ready; empty: it is. */
  readonly conditions: () => readonly Condition[];
  /** Content of `/metrics`. */
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
      '/metrics': () => ({ status: 200, body: formatMetrics(metrics()), contentType: METRICS_TYPE }),
    },
  });
}

function answer(reason: string | undefined, well: string): HttpAnswer {
  return { status: reason === undefined ? 200 : 503, body: `${printable(reason ?? well)}\n` };
}
