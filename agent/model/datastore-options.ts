// The place of the datastore, and the credentials for it.
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

export type DatastoreOptions = EtcdOptions | FileStoreOptions;

/** The endpoints that are given as addresses. Names are left out: their addresses change. */
export function datastoreAddresses(options: DatastoreOptions): readonly string[] {
  if (options.kind !== 'etcd') return [];
  const hosts = options.endpoints.map((endpoint) => new URL(endpoint).hostname.replace(/^\[|\]$/g, ''));
  return hosts.flatMap((host) => parseAddress(host)?.address ?? []);
}

/** The endpoints that get the password in clear text, over a network. */
export function clearTextEndpoints({ endpoints, password }: EtcdOptions): readonly string[] {
  if (password === undefined) return [];
  return endpoints.filter((endpoint) => {
    const { protocol, hostname } = new URL(endpoint);
    return protocol === 'http:' && !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
  });
}
