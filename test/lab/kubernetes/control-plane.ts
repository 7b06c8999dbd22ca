// The control plane of a cluster of whole nodes: an etcd, an API server, a controller manager and a scheduler in the
// router's namespace of a lab. The network of its machine is left alone.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeAuthority } from '../certificates.ts';
import { startEtcd } from '../etcd.ts';
import { type Lab, ROUTER_ADDRESS } from '../lab.ts';
import { run } from '../namespace.ts';
import type { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';
import { apiServerCommand } from './api-server.ts';
import { kubernetesProgram } from './programs.ts';

/** The cluster CIDR, of which each node gets 24 bits. */
export const POD_NETWORK = '10.244.0.0/16';
const PORT = 6443;
/** The address of the service `kubernetes`, the first of the services. */
const SERVICE_ADDRESS = '10.96.0.1';
const ADMIN_TOKEN = 'admin-token';
const READY_MS = 30_000;
const KUBECTL_MS = 150_000;

export interface ControlPlane {
  readonly url: string;
  /** The file of a kubeconfig of the administrator. */
  readonly kubeconfig: string;
  /** Writes a kubeconfig of the kubelet of that node, and gives its path. */
  kubeletConfig(node: string): Promise<string>;
  /** Runs kubectl as the administrator, and gives its output. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** The same, with objects on its standard input. */
  apply(...objects: readonly object[]): Promise<void>;
}

/** Starts everything. It ends with the lab. */
export async function startControlPlane(lab: Lab): Promise<ControlPlane> {
  const folder = join(lab.folder, 'control-plane');
  const file = (name: string): string => join(folder, name);
  const url = `https://${ROUTER_ADDRESS}:${PORT}`;
  const nodes = lab.hosts.map(({ name }) => name);
  await mkdir(folder);
  await makeAuthority(folder, 'kube', [ROUTER_ADDRESS, SERVICE_ADDRESS]);
  await run(['openssl', 'genrsa', '-out', file('accounts.key'), '2048']);
  const users = nodes.map((node) => `${tokenOf(node)},system:node:${node},${node},system:nodes`);
  await writeFile(file('tokens.csv'), [`${ADMIN_TOKEN},admin,1,system:masters`, ...users, ''].join('\n'));
  const etcd = await startEtcd({
    netns: lab.router.name,
    port: 2379,
    folder: file('etcd'),
    program: kubernetesProgram('etcd'),
  });

  const writeConfig = async (name: string, token: string): Promise<string> => {
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: url, 'certificate-authority': file('kube-ca.pem') } }],
      users: [{ name: 'u', user: { token } }],
    };
    await writeFile(file(name), JSON.stringify(config));
    return file(name);
  };
  const kubeconfig = await writeConfig('admin.json', ADMIN_TOKEN);
  const command = [kubernetesProgram('kubectl'), `--kubeconfig=${kubeconfig}`] as const;
  const kubectl: ControlPlane['kubectl'] = (...args) =>
    lab.router.run([...command, ...args], { timeoutMs: KUBECTL_MS });

  const server = lab.start('apiserver', [
    ...apiServerCommand({ folder, etcdUrl: etcd.url, address: '0.0.0.0', port: PORT }),
    `--advertise-address=${ROUTER_ADDRESS}`,
    // For kubectl logs and exec: nobody knows the names of the nodes.
    '--kubelet-preferred-address-types=InternalIP',
  ]);
  await waitUntilReady(server, 'the API server', () => kubectl('get', '--raw=/readyz'));
  const manager = lab.start('controller-manager', [
    kubernetesProgram('kube-controller-manager'),
    `--kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    '--allocate-node-cidrs=true',
    `--cluster-cidr=${POD_NETWORK}`,
    `--service-account-private-key-file=${file('accounts.key')}`,
    `--root-ca-file=${file('kube-ca.pem')}`,
    // Pods of a node that is away are deleted soon.
    '--node-monitor-grace-period=16s',
  ]);
  lab.start('scheduler', [
    kubernetesProgram('kube-scheduler'),
    `--kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
  ]);
  // Pods need this account, which the controller manager makes.
  await waitUntilReady(manager, 'the controller manager', () => kubectl('get', 'serviceaccount', 'default'));
  return {
    url,
    kubeconfig,
    kubeletConfig: (node) => writeConfig(`${node}.json`, tokenOf(node)),
    kubectl,
    async apply(...objects) {
      const list = { apiVersion: 'v1', kind: 'List', items: objects };
      await lab.router.run([...command, 'apply', '-f', '-'], {
        timeoutMs: KUBECTL_MS,
        input: JSON.stringify(list),
      });
    },
  };
}

const tokenOf = (node: string): string => `${node}-token`;

async function waitUntilReady(
  process: LabProcess,
  title: string,
  ask: () => Promise<unknown>,
): Promise<void> {
  await waitFor(
    `${title} is ready`,
    READY_MS,
    async () => {
      if (!process.isRunning) throw new Error(`${title}: ${await process.epitaph()}`);
      return ask().then(
        () => true,
        () => false,
      );
    },
    100,
  );
}
