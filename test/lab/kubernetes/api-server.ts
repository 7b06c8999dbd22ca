// A real API server on the loopback address, over a real etcd. A test can stop both, empty the etcd, and act as the
// administrator.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthority, makeClientCertificate } from '../certificates.ts';
import { type EtcdServer, freePort, startEtcd } from '../etcd.ts';
import { run } from '../namespace.ts';
import { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';
import { kubernetesProgram } from './programs.ts';

/** Bearer tokens of the users that the server knows from its start. */
export const TOKENS = {
  /** May do everything. */
  admin: 'admin-token',
  /** May do what the test grants to the user `agent`. */
  agent: 'agent-token',
  /** The kubelet of the node n1. */
  kubelet: 'kubelet-token',
} as const;

export interface ApiServer extends AsyncDisposable {
  readonly url: string;
  /** The file of its CA. */
  readonly caFile: string;
  /** A certificate of the user `agent`. */
  readonly clientFiles: { readonly cert: string; readonly key: string };
  readonly folder: string;
  readonly etcd: EtcdServer;
  /** One request of the administrator. Throws where its status is no success. */
  admin(method: string, path: string, body?: unknown, contentType?: string): Promise<unknown>;
  /** Runs kubectl as the administrator, and gives its output. */
  kubectl(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
  /** Starts it again, at the same address. */
  start(): Promise<void>;
}

const READY_MS = 30_000;

/** The range of the addresses of services. The first one is the API server's. */
const SERVICES = '10.96.0.0/16';

export interface ApiServerPlace {
  /** Has the authority `kube`, accounts.key and tokens.csv. */
  readonly folder: string;
  readonly etcdUrl: string;
  readonly address: string;
  readonly port: number;
}

/** The command line of the server, without the address that it announces. */
export function apiServerCommand({ folder, etcdUrl, address, port }: ApiServerPlace): [string, ...string[]] {
  const file = (name: string): string => join(folder, name);
  return [
    kubernetesProgram('kube-apiserver'),
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--tls-cert-file=${file('kube-server.pem')}`,
    `--tls-private-key-file=${file('kube-server.key')}`,
    `--client-ca-file=${file('kube-ca.pem')}`,
    `--service-cluster-ip-range=${SERVICES}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('accounts.key')}`,
    `--service-account-signing-key-file=${file('accounts.key')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC,Node',
    '--allow-privileged=true',
    '--shutdown-delay-duration=0s',
  ];
}

/** Starts both and waits until the server is ready. Disposing of it removes both. */
export async function startApiServer(): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-kube-'));
  const file = (name: string): string => join(folder, name);
  await makeAuthority(folder, 'kube');
  await makeClientCertificate(folder, 'kube', 'agent');
  await run(['openssl', 'genrsa', '-out', file('accounts.key'), '2048']);
  const users = [`${TOKENS.admin},admin,1,system:masters`, `${TOKENS.agent},agent,2`];
  await writeFile(
    file('tokens.csv'),
    [...users, `${TOKENS.kubelet},system:node:n1,3,system:nodes`, ''].join('\n'),
  );
  const etcd = await startEtcd({ program: kubernetesProgram('etcd') });
  const port = await freePort('127.0.0.1');
  const url = `https://127.0.0.1:${port}`;
  let server: LabProcess | undefined;

  const admin: ApiServer['admin'] = (method, path, body, contentType = 'application/json') =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${TOKENS.admin}`, 'content-type': contentType };
      const sent = request(url + path, { method, headers, rejectUnauthorized: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          if (status > 299) reject(new Error(`${method} ${path}: ${status} ${text}`));
          else resolve(text.startsWith('{') ? JSON.parse(text) : text);
        });
        response.on('error', reject);
      });
      sent.setTimeout(READY_MS, () => sent.destroy(new Error(`${method} ${path}: no answer`)));
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });

  async function start(): Promise<void> {
    server = new LabProcess(
      [
        ...apiServerCommand({ folder, etcdUrl: etcd.url, address: '127.0.0.1', port }),
        // A server wants an address of a network to announce. Nobody uses it here.
        '--advertise-address=192.0.2.1',
        '--endpoint-reconciler-type=none',
      ],
      file('apiserver.log'),
    );
    const started = server;
    await waitFor(
      `the API server at ${url} is ready`,
      READY_MS,
      async () => {
        if (!started.isRunning) throw new Error(await started.epitaph());
        return admin('GET', '/readyz').then(
          () => true,
          () => false,
        );
      },
      100,
    );
  }

  async function stop(): Promise<void> {
    await server?.stop('SIGKILL');
    server = undefined;
  }

  async function dispose(): Promise<void> {
    await stop();
    await etcd[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  const kubectlFlags = [
    `--server=${url}`,
    `--token=${TOKENS.admin}`,
    `--certificate-authority=${file('kube-ca.pem')}`,
  ];
  return {
    url,
    caFile: file('kube-ca.pem'),
    clientFiles: { cert: file('kube-agent.pem'), key: file('kube-agent.key') },
    folder,
    etcd,
    admin,
    kubectl: (...args) => run([kubernetesProgram('kubectl'), ...kubectlFlags, ...args]),
    stop,
    start,
    [Symbol.asyncDispose]: dispose,
  };
}
