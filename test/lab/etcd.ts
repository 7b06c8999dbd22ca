// A real etcd on the loopback address or in a namespace. A test can stop, freeze and restart it on its data.
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './namespace.ts';
import { LabProcess } from './process.ts';
import { waitFor } from './wait.ts';

// The default of net.ipv4.ip_local_port_range starts at the second.
const LOWEST_PORT = 12_000;
const LOWEST_OUTGOING_PORT = 32_768;
// From a random one on, each port is given once: an etcd asks for two before it listens on the first.
let nextPort = randomInt(LOWEST_PORT, LOWEST_OUTGOING_PORT);

/** Paths of PEM files for a server that speaks TLS. */
export interface EtcdTls {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Whether clients need a certificate signed by that CA. */
  readonly clientCertAuth: boolean;
}

export interface LabEtcdOptions {
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Default: a free port. */
  readonly port?: number;
  readonly tls?: EtcdTls;
  /** Name of its network namespace. */
  readonly netns?: string;
  /** Folder for its data and logs, removed with it. Default: a new one. */
  readonly folder?: string;
  /** Its index in a cluster, from 0, and the ports for traffic between the members. */
  readonly member?: { readonly index: number; readonly peerPorts: readonly number[] };
  readonly extraArgs?: readonly string[];
  /** The program to run. Default: the `etcd` in PATH. */
  readonly program?: string;
}

export interface EtcdServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Runs etcdctl and returns its output. */
  etcdctl(...args: readonly string[]): Promise<string>;
  /** Compacts the history up to now. */
  compact(): Promise<void>;
  /** Stops it; its data stay. */
  stop(): Promise<void>;
  /** Starts it again on its data. */
  start(): Promise<void>;
  /** Stops it and removes its data: its next start is empty. */
  wipe(): Promise<void>;
  /** Freezes it: connections stay open without an answer. */
  pause(): void;
  resume(): void;
}

/** Starts an etcd with a folder of its own and waits until it answers. Disposing of it removes both. */
export async function startEtcd(options: LabEtcdOptions = {}): Promise<EtcdServer> {
  const { address = '127.0.0.1', tls } = options;
  const port = options.port ?? (await freePort(address));
  // The port for other members. Etcd wants one even without other members.
  const { index, peerPorts } = options.member ?? { index: 0, peerPorts: [await freePort('127.0.0.1')] };
  const peerUrls = peerPorts.map((peerPort) => `http://127.0.0.1:${peerPort}`);
  const peers = peerUrls[index] ?? '';
  const nameOf = (member: number): string => `lab${member}`;
  const url = `${tls === undefined ? 'http' : 'https'}://${address}:${port}`;
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'tw-etcd-')));
  await mkdir(folder, { recursive: true });
  const inside = options.netns === undefined ? [] : ['nsenter', `--net=/run/netns/${options.netns}`];
  const argv = [
    ...inside,
    options.program ?? 'etcd',
    `--name=${nameOf(index)}`,
    `--data-dir=${join(folder, 'data')}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=${peerUrls.map((each, member) => `${nameOf(member)}=${each}`).join(',')}`,
    ...(tls === undefined ? [] : [`--cert-file=${tls.certFile}`, `--key-file=${tls.keyFile}`]),
    ...(tls?.clientCertAuth === true ? ['--client-cert-auth', `--trusted-ca-file=${tls.caFile}`] : []),
    ...(options.extraArgs ?? []),
  ] as unknown as readonly [string, ...string[]];
  const ctlFlags =
    tls === undefined ? [] : [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`];
  const etcdctl = (...args: readonly string[]): Promise<string> =>
    run([...inside, 'env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${url}`, ...ctlFlags, ...args]);

  let runs = 0;
  let server: LabProcess | undefined;
  const current = (): LabProcess => {
    if (server === undefined) throw new Error('etcd is not running');
    return server;
  };
  async function start(): Promise<void> {
    runs += 1;
    server = new LabProcess(argv, join(folder, `log-${runs}`));
    await server.waitForLine(/ready to serve client requests/, 15_000);
    // Etcd prints that line a moment before it listens.
    await waitFor(`etcd at ${url} answers`, 10_000, () =>
      etcdctl('endpoint', 'health').then(
        () => true,
        // With authentication on, and from a learner, these errors are answers.
        (error: unknown) => /user name is empty|permission denied|learner/.test(String(error)),
      ),
    );
  }
  async function stop(): Promise<void> {
    await server?.stop('SIGKILL');
    server = undefined;
  }
  async function wipe(): Promise<void> {
    await stop();
    await rm(join(folder, 'data'), { recursive: true, force: true });
  }
  async function dispose(): Promise<void> {
    await stop();
    await rm(folder, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    url,
    get pid() {
      return current().pid;
    },
    etcdctl,
    async compact() {
      const status: unknown = JSON.parse(await etcdctl('get', 'nothing', '--write-out=json'));
      const { header } = status as { header: { revision: number } };
      await etcdctl('compact', String(header.revision));
    },
    stop,
    start,
    wipe,
    pause: () => process.kill(current().pid, 'SIGSTOP'),
    resume: () => process.kill(current().pid, 'SIGCONT'),
    [Symbol.asyncDispose]: dispose,
  };
}

/**
 * A TCP port without a listener at the moment. It lies below the range from which the kernel takes the ports of
 * outgoing connections: else one of them could take the port before its listener starts.
 */
export async function freePort(address: string): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = nextPort;
    nextPort = port + 1 < LOWEST_OUTGOING_PORT ? port + 1 : LOWEST_PORT;
    if (await canListen(port, address)) return port;
  }
  throw new Error(`no free port at ${address}`);
}

function canListen(port: number, address: string): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(port, address, () => server.close(() => resolve(true)));
  });
}
