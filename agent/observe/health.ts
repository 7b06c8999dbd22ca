// What probes ask: `/healthz` whether the agent is alive (restart it when not), `/readyz` whether this node's
// network stands (send no traffic when not). Who knows the answers is the agent; this file only puts them on
// the wire.
import { type HttpAnswer, type HttpServer, startHttpServer } from './http-server.ts';
import { formatMetrics, METRICS_TYPE, type Metric } from './metrics.ts';

/** Whether everything stands, and what is missing when it does not. */
export interface Readiness {
  readonly ready: boolean;
  /** One line for people: `waiting for a lease`. */
  readonly reason: string;
}

export interface HealthOptions {
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** Asked for each request; must not wait. */
  readonly isAlive: () => boolean;
  readonly isReady: () => Readiness;
  /** What `/metrics` shows. */
  readonly metrics: () => readonly Metric[];
}

/** Starts to answer probes until it is disposed. Fails as `host` when the address or port cannot be had. */
export function startHealthServer({
  ip,
  port,
  isAlive,
  isReady,
  metrics,
}: HealthOptions): Promise<HttpServer> {
  return startHttpServer({
    ip,
    port,
    routes: {
      '/healthz': () => (isAlive() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'not alive\n' }),
      '/readyz': () => answerReadiness(isReady()),
      '/metrics': () => ({ status: 200, body: formatMetrics(metrics()), contentType: METRICS_TYPE }),
    },
  });
}

function answerReadiness({ ready, reason }: Readiness): HttpAnswer {
  const line = reason.replaceAll(/\s+/g, ' ').trim();
  return { status: ready ? 200 : 503, body: `${line}\n` };
}
