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
  /** What hangs, one line; undefined: nothing. Asked for each request, as all of these; must not wait. */
  readonly hangs: () => string | undefined;
  readonly isReady: () => Readiness;
  /** What `/metrics` shows. */
  readonly metrics: () => readonly Metric[];
}

/** Starts to answer probes until it is disposed. Fails as `host` when the address or port cannot be had. */
export function startHealthServer({ ip, port, hangs, isReady, metrics }: HealthOptions): Promise<HttpServer> {
  return startHttpServer({
    ip,
    port,
    routes: {
      // That there is an answer shows that the event loop turns.
      '/healthz': () => {
        const reason = hangs();
        return answer({ ready: reason === undefined, reason: reason ?? 'ok' });
      },
      '/readyz': () => answer(isReady()),
      '/metrics': () => ({ status: 200, body: formatMetrics(metrics()), contentType: METRICS_TYPE }),
    },
  });
}

function answer({ ready, reason }: Readiness): HttpAnswer {
  const line = reason.replaceAll(/\s+/g, ' ').trim();
  return { status: ready ? 200 : 503, body: `${line}\n` };
}
