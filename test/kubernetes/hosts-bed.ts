// Hosts of a lab as the nodes of a real API server. They reach it over their router, through a proxy that the test
// holds in its hands.
//
//     h1 … hn ── router ── this namespace: the proxy at 192.168.79.1 ─▶ the API server at 127.0.0.1
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_PREFIX } from '../../agent/kubernetes/annotation-names.ts';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { makeAuthority } from '../lab/certificates.ts';
import { freePort } from '../lab/etcd.ts';
import type { Flanneld } from '../lab/flanneld.ts';
import { type ApiProxy, startApiProxy } from '../lab/kubernetes/api-proxy.ts';
import { type ApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import { type Host, type Lab, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { labProgram } from '../lab/paths.ts';
import type { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns } from '../support/needs.ts';
import { NEEDS_API_SERVER, newNode } from './bed.ts';

export const NEEDS_HOSTS = allOf(needsNetns('ping', 'openssl'), NEEDS_PRIVATE_NETNS, NEEDS_API_SERVER);

const ADDRESS = '192.168.79.1';
const ROUTER = '192.168.79.254';
const HEALS_MS = 30_000;

/** A Node as the API serves it. */
export interface ServedNode {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly status: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
}

export interface NodesBed extends AsyncDisposable {
  readonly lab: Lab;
  readonly proxy: ApiProxy;
  /** Of the agents. */
  readonly flags: readonly string[];
  /** The file of the CA that the agents read. */
  readonly caFile: string;
  /** The file of their token. */
  readonly tokenFile: string;
  /** Makes the Node of a host, with the podCIDR 10.244.NUMBER.0/24. */
  register(host: Host): Promise<void>;
  startTwill(host: Host, args?: readonly string[]): AgentProcess;
  startFlanneld(host: Host, flanneld: Flanneld): LabProcess;
  /** Shows the certificate of another authority, which it makes, and gives the text of its CA. */
  renew(name: string): Promise<string>;
}

export interface NodesBedOptions {
  readonly server: ApiServer;
  readonly hosts: number;
  /** The whole net-conf.json but its Network, which is 10.244.0.0/16. */
  readonly conf: Readonly<Record<string, unknown>>;
}

let beds = 0;

export async function openNodes({ server, hosts, conf }: NodesBedOptions): Promise<NodesBed> {
  beds += 1;
  const lab = await openLab({ hosts });
  const file = (name: string): string => join(lab.folder, name);
  let proxy: ApiProxy | undefined;
  try {
    // It goes with the router's namespace.
    await run([
      'ip',
      'link',
      'add',
      `kube${beds}`,
      'type',
      'veth',
      'peer',
      'name',
      'kube',
      'netns',
      lab.router.name,
    ]);
    await run(['ip', 'address', 'add', `${ADDRESS}/24`, 'dev', `kube${beds}`]);
    await run(['ip', 'link', 'set', `kube${beds}`, 'up']);
    await run(['ip', 'route', 'replace', '192.168.77.0/24', 'via', ROUTER]);
    await lab.router.ip(`addr add ${ROUTER}/24 dev kube`, 'link set kube up');
    await makeAuthority(lab.folder, 'first', [ADDRESS]);
    await writeFile(file('ca.pem'), await readFile(file('first-ca.pem')));
    await writeFile(file('token'), TOKENS.agent);
    proxy = await startApiProxy({
      address: ADDRESS,
      port: await freePort(ADDRESS),
      target: server.url,
      certificate: await certificateOf(lab.folder, 'first'),
    });
    await writeFile(file('net-conf.json'), JSON.stringify({ Network: '10.244.0.0/16', ...conf }));
    const config = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: proxy.url, 'certificate-authority': file('ca.pem') } }],
      users: [{ name: 'u', user: { tokenFile: file('token') } }],
    };
    await writeFile(file('kubeconfig'), JSON.stringify(config));
  } catch (error) {
    await proxy?.[Symbol.asyncDispose]();
    await lab.close();
    throw error;
  }
  const opened = proxy;
  const flags = [
    '--kube-subnet-mgr',
    `--kubeconfig-file=${file('kubeconfig')}`,
    `--net-config-path=${file('net-conf.json')}`,
    '--iface=eth0',
    '--ip-masq',
  ];
  return {
    lab,
    proxy: opened,
    flags,
    caFile: file('ca.pem'),
    tokenFile: file('token'),
    async register({ name }) {
      // kubelet writes some annotations. Without any, flanneld ends.
      const annotations = { 'node.alpha.kubernetes.io/ttl': '0' };
      await server.admin('POST', '/api/v1/nodes', newNode(name, podCidrOf(name), annotations));
    },
    startTwill: (host, args = []) =>
      host.startAgent([...flags, `--healthz-port=${HEALTHZ_PORT}`, ...args], { NODE_NAME: host.name }),
    startFlanneld: (host, { path }) => host.start('flanneld', [path, ...flags], { NODE_NAME: host.name }),
    async renew(name) {
      await makeAuthority(lab.folder, name, [ADDRESS]);
      opened.use(await certificateOf(lab.folder, name));
      return readFile(file(`${name}-ca.pem`), 'utf8');
    },
    async [Symbol.asyncDispose]() {
      await lab.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}

async function certificateOf(
  folder: string,
  name: string,
): Promise<{ readonly cert: Buffer; readonly key: Buffer }> {
  const [cert, key] = await Promise.all(
    ['pem', 'key'].map((end) => readFile(join(folder, `${name}-server.${end}`))),
  );
  if (cert === undefined || key === undefined) throw new Error('no certificate');
  return { cert, key };
}

/** The podCIDR of the host `h3`: 10.244.3.0/24. */
export function podCidrOf(name: string): string {
  return `10.244.${name.slice(1)}.0/24`;
}

/** Deletes all Nodes. */
export async function removeNodes(server: ApiServer): Promise<void> {
  await server.admin('DELETE', '/api/v1/nodes');
}

export async function readServed(server: ApiServer, name: string): Promise<ServedNode> {
  return (await server.admin('GET', `/api/v1/nodes/${name}`)) as ServedNode;
}

/** flannel's annotations of a Node, by the ends of their names. */
export async function annotationsOf(
  server: ApiServer,
  name: string,
): Promise<Readonly<Record<string, string>>> {
  const { annotations = {} } = (await readServed(server, name)).metadata;
  const prefix = `${DEFAULT_PREFIX}/`;
  const ours = Object.entries(annotations).filter(([each]) => each.startsWith(prefix));
  return Object.fromEntries(ours.map(([each, value]) => [each.slice(prefix.length), value]));
}

/** Writes annotations of flannel into a Node by the ends of their names; null removes one. */
export async function annotate(
  server: ApiServer,
  name: string,
  values: Readonly<Record<string, string | null>>,
): Promise<void> {
  const annotations = Object.fromEntries(
    Object.entries(values).map(([end, value]) => [`${DEFAULT_PREFIX}/${end}`, value]),
  );
  await server.admin(
    'PATCH',
    `/api/v1/nodes/${name}`,
    { metadata: { annotations } },
    'application/merge-patch+json',
  );
}

/** Creates a Node with flannel's annotations by the ends of their names. */
export async function createNode(
  server: ApiServer,
  name: string,
  podCidr: string | undefined,
  values: Readonly<Record<string, string>> = {},
): Promise<void> {
  const annotations = Object.fromEntries(
    Object.entries(values).map(([end, value]) => [`${DEFAULT_PREFIX}/${end}`, value]),
  );
  await server.admin('POST', '/api/v1/nodes', newNode(name, podCidr, annotations));
}

/** What the agent of a host answers at a path. */
export async function answerOf(host: Host, path: string): Promise<string> {
  const url = `http://127.0.0.1:${HEALTHZ_PORT}${path}`;
  return (await host.namespace.exec([...labProgram('http-get'), url])).stdout;
}

/** Waits until the agent of a host answers so. */
export function untilAnswer(
  host: Host,
  path: string,
  text: string,
  timeoutMs: number = HEALS_MS,
): Promise<string> {
  return waitFor(
    `${path} of ${host.name} says ${text}`,
    timeoutMs,
    async () => {
      const found = await answerOf(host, path);
      return found.includes(text) && found;
    },
    100,
  );
}

/** The routes of a host into the overlay, sorted. */
export async function overlayRoutes(host: Host): Promise<readonly string[]> {
  const text = await host.namespace.run(['ip', 'route', 'show', 'root', '10.244.0.0/16']);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.includes('docker0'))
    .sort();
}
