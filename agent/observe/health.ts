// Serves the agent's answers to probes. `/healthz`: is the agent alive? If not, restart it. `/readyz`: is this node's
// network complete? If not, send no traffic.
import { type HttpAnswer, type HttpServer, startHttpServer } from './http-server.ts';
import { formatMetrics, METRICS_TYPE, type Metric } from './metrics.ts';

/** Whether the node is ready, and the reason if it is not. */
export interface Readiness {
  readonly ready: boolean;
  /** One line for people, such as `waiting for a lease`. */
  readonly reason: string;
}

export interface HealthOptions {
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** The call that hangs, in one line; undefined: none. Called for each request, like the next two. Must not block. */
  readonly hangs: () => string | undefined;
  readonly isReady: () => Readiness;
  /** Content of `/metrics`. */
  readonly metrics: () => readonly Metric[];
}

/** Starts a server that answers probes. Fails as `host` when the address or port is not available. */
export function startHealthServer({ ip, port, hangs, isReady, metrics }: HealthOptions): Promise<HttpServer> {
  return startHttpServer({
    ip,
    port,
    routes: {
      // Any answer shows that the event loop runs.
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
