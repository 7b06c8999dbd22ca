// What probes ask: `/healthz` whether the agent is alive (restart it when not), `/readyz` whether this node's
// network stands (send no traffic when not). Who knows the answers is the agent; this file only puts them on
// the wire.
import type { Condition } from '../model/condition.ts';
import { type HttpAnswer, type HttpServer, startHttpServer } from './http-server.ts';
import { formatMetrics, METRICS_TYPE, type Metric } from './metrics.ts';

export interface HealthOptions {
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** What hangs, one line; undefined: nothing. Asked for each request, as all of these; must not wait. */
  readonly hangs: () => string | undefined;
  /** Why the node is not ready; empty: it is. */
  readonly conditions: () => readonly Condition[];
  /** What `/metrics` shows. */
  readonly metrics: () => readonly Metric[];
}

/** Starts to answer probes until it is disposed. Fails as `host` when the address or port cannot be had. */
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
      // That there is an answer shows that the event loop turns.
      '/healthz': () => {
        return answer(hangs(), 'ok');
      },
      '/readyz': () => answer(conditions()[0]?.reason, 'ready'),
      '/metrics': () => ({ status: 200, body: formatMetrics(metrics()), contentType: METRICS_TYPE }),
    },
  });
}

function answer(reason: string | undefined, well: string): HttpAnswer {
  const line = (reason ?? well).replaceAll(/\s+/g, ' ').trim();
  return { status: reason === undefined ? 200 : 503, body: `${line}\n` };
}
