// Decides which clients of the health server keep their connections, so that a flood of connections from one address
// leaves room for the probes of another one, and for those of this host.
import { formatPrefix, networkOf, parseIPv4, parsePrefix } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

/** An accepted connection, such as a `Socket` of Node. */
export interface Connection {
  /** Undefined: it is closed already. */
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
  destroy(): void;
}

interface Holder {
  /** An IPv4 address, or the first address of a /64 of IPv6: one host has all of it. */
  readonly client: string;
  readonly isLocal: boolean;
  looks: number;
}

/** The open connections, oldest first. */
export class HttpConnections {
  readonly #holders = new Map<Connection, Holder>();

  /**
   * Takes a new connection. Where there are too many, the client with the most of them loses its oldest one. Other
   * hosts never get the share of this host.
   */
  admit(connection: Connection): void {
    const holder = holderOf(connection);
    if (holder === undefined) return;
    const remote = [...this.#holders].filter(([, { isLocal }]) => !isLocal);
    if (!holder.isLocal && remote.length >= LIMITS.httpRemoteConnections) this.#dropOneOf(remote);
    else if (this.#holders.size >= LIMITS.httpConnections) this.#dropOneOf([...this.#holders]);
    this.#holders.set(connection, holder);
  }

  /** Forgets a connection that was closed. */
  remove(connection: Connection): void {
    this.#holders.delete(connection);
  }

  /**
   * Closes each connection at its last look. Age is counted in looks, not by a clock: after a pause of the event loop
   * the requests that wait are read first.
   */
  look(): void {
    for (const [connection, holder] of this.#holders) {
      holder.looks++;
      if (holder.looks > LIMITS.httpLooks) this.#drop(connection);
    }
  }

  #dropOneOf(candidates: readonly (readonly [Connection, Holder])[]): void {
    const counts = new Map<string, number>();
    for (const [, { client }] of candidates) counts.set(client, (counts.get(client) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const oldest = candidates.find(([, { client }]) => counts.get(client) === most);
    if (oldest !== undefined) this.#drop(oldest[0]);
  }

  #drop(connection: Connection): void {
    this.#holders.delete(connection);
    connection.destroy();
  }
}

// The kubelet probes from this host: from the loopback, or from the very address that it probes.
function holderOf({ remoteAddress, localAddress }: Connection): Holder | undefined {
  if (remoteAddress === undefined) return undefined;
  const isSelf = remoteAddress === localAddress;
  // A socket for both families says ::ffff:10.0.0.1.
  const address = parseIPv4(remoteAddress);
  if (address !== undefined)
    return { client: address, isLocal: isSelf || address.startsWith('127.'), looks: 0 };
  // An address of one link names the link too: fe80::1%eth0.
  const prefix = parsePrefix(`${remoteAddress.replace(/%.*$/, '')}/64`);
  const client = prefix === undefined ? remoteAddress : formatPrefix(networkOf(prefix));
  return { client, isLocal: isSelf || remoteAddress === '::1', looks: 0 };
}
