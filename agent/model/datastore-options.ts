// The place of the datastore, and the credentials for it.
import { isLoopbackHost } from '../base/loopback-host.ts';
import { parseAddress } from './ip.ts';

export interface EtcdOptions {
  readonly kind: 'etcd';
  /** URLs such as `https://10.0.0.1:2379`, at least one; all http or all https. */
  readonly endpoints: readonly string[];
  /** A cleaned path such as `/coreos.com/network`; flannel's may also begin without a slash, or be `/` or empty. */
  readonly prefix: string;
  /** Paths of PEM files; certificate and key come together, a CA may come alone. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export interface FileStoreOptions {
  readonly kind: 'file';
  /** Absolute path of a folder that all agents share. */
  readonly directory: string;
  readonly prefix: string;
}

/** A value of the operator's that is checked where it is used, and its source for messages: a flag or a variable. */
export interface Given {
  readonly text: string;
  readonly source: string;
}

/** Kubernetes as the datastore: it assigns the subnets, and its Nodes are the leases. */
export interface KubernetesOptions {
  readonly kind: 'kubernetes';
  /** The API server. Undefined: that of the kubeconfig, or that of the pod's environment. */
  readonly apiUrl: Given | undefined;
  /** Path of a kubeconfig. Undefined: the credentials of the pod; with an `apiUrl` none at all. */
  readonly kubeconfigFile: string | undefined;
  readonly annotationPrefix: Given;
  /** Path of the file with the network configuration. */
  readonly netConfigPath: string;
  /** Keep the Node's condition NetworkUnavailable False. */
  readonly setsNetworkUnavailable: boolean;
  /** The variables that the pod is given. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A store of keys and values: nodes claim subnets in it. */
export type KvOptions = EtcdOptions | FileStoreOptions;

export type DatastoreOptions = KvOptions | KubernetesOptions;

/** The endpoints that are given as addresses. Names are left out: their addresses change. */
export function datastoreAddresses(options: KvOptions): readonly string[] {
  if (options.kind !== 'etcd') return [];
  return addressesOf(options.endpoints.map((endpoint) => new URL(endpoint)));
}

/** The hosts of URLs that are addresses. */
export function addressesOf(urls: readonly URL[]): readonly string[] {
  const hosts = urls.map(({ hostname }) => hostname.replace(/^\[|\]$/g, ''));
  return hosts.flatMap((host) => parseAddress(host)?.address ?? []);
}

/** The endpoints that get the password in clear text, over a network. */
export function clearTextEndpoints({ endpoints, password }: EtcdOptions): readonly string[] {
  if (password === undefined) return [];
  return endpoints.filter((endpoint) => {
    const { protocol, hostname } = new URL(endpoint);
    return protocol === 'http:' && !isLoopbackHost(hostname);
  });
}
