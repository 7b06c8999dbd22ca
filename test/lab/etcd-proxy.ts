// What people put between an etcd and its clients: etcd's own gRPC proxy, and its gateway, which passes TCP on.
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './etcd.ts';
import { LabProcess } from './process.ts';
import { waitFor } from './wait.ts';

export type EtcdProxyKind = 'grpc-proxy' | 'gateway';

export interface EtcdProxy extends AsyncDisposable {
  readonly url: string;
  /** Ends it at once and starts it again on its port. */
  restart(): Promise<void>;
}

/** Starts a proxy to `endpoints` on the loopback address. `program` is the etcd to run. */
export async function startEtcdProxy(
  kind: EtcdProxyKind,
  endpoints: readonly string[],
  program = 'etcd',
): Promise<EtcdProxy> {
  const port = await freePort('127.0.0.1');
  const folder = await mkdtemp(join(tmpdir(), 'tw-etcd-'));
  const targets = endpoints.map((url) => new URL(url).host).join(',');
  // The gRPC proxy of etcd 3.6 ends when it cannot reach itself at this address. The gateway leaves a server alone for
  // a minute after a failure.
  const more = kind === 'grpc-proxy' ? [`--advertise-client-url=127.0.0.1:${port}`] : ['--retry-delay=200ms'];
  let proxy: LabProcess | undefined;
  async function start(): Promise<void> {
    proxy = new LabProcess(
      [program, kind, 'start', `--endpoints=${targets}`, `--listen-addr=127.0.0.1:${port}`, ...more],
      join(folder, 'log'),
    );
    const started = proxy;
    await waitFor(`the ${kind} listens`, 10_000, async () => {
      if (!started.isRunning) throw new Error(await started.epitaph());
      return listens(port);
    });
  }
  async function dispose(): Promise<void> {
    await proxy?.stop('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async restart() {
      await proxy?.stop('SIGKILL');
      await start();
    },
    [Symbol.asyncDispose]: dispose,
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
