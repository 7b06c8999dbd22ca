// The keys below a network's prefix. They are flannel's:
//
//     <prefix>/config                            the network configuration
//     <prefix>/subnets/10.5.34.0-24              a lease
import { posix } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import type { KvEntry, KvEvent } from '../model/kv.ts';
import { type Lease, parseLeaseValue, parseSubnetKey } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';
import { OVERSIZED_CONFIG } from '../model/network-config.ts';
import { LIMITS } from './limits.ts';

export interface LeaseKeys {
  /** What the agent lists and watches. Nothing else below the prefix is read. */
  readonly watched: readonly string[];
  readonly config: string;
  /** Prefix of the keys of all leases. */
  readonly leases: string;
  /** Path of the lease with this key. */
  lease(key: string): string;
  /** Parses an entry under `subnets/`; undefined: the key is not there. */
  readLease(entry: KvEntry): Lease | MalformedEntry | undefined;
  /** Converts a change; undefined: it means nothing to the agent. */
  readEvent(event: Exclude<KvEvent, { type: 'progress' }>): StoreEvent | undefined;
}

/** Whether a result of `readLease` is a lease. */
export function isLease(found: Lease | MalformedEntry): found is Lease {
  return 'attrs' in found;
}

/** The text of the configuration. */
export function configTextOf({ value }: KvEntry): string {
  return value ?? OVERSIZED_CONFIG;
}

/** The keys of the network at `prefix`: flannel joins them as paths, so that an empty prefix adds no slash. */
export function createLeaseKeys(prefix: string): LeaseKeys {
  const config = posix.join(prefix, 'config');
  const subnets = posix.join(prefix, 'subnets/');

  function readLease(entry: KvEntry): Lease | MalformedEntry | undefined {
    if (!entry.key.startsWith(subnets)) return undefined;
    const key = entry.key.slice(subnets.length);
    const found = parseSubnetKey(key);
    if (found === undefined) {
      return {
        where: entry.key,
        key: undefined,
        reason: `${excerpt(entry.key)}: not the key of a lease, such as ${subnets}10.5.34.0-24`,
      };
    }
    if (entry.value === undefined) {
      const reason = `${excerpt(entry.key)}: is larger than ${LIMITS.valueBytes} bytes`;
      return { where: entry.key, key, reason };
    }
    try {
      const { attrs, asked } = parseLeaseValue(entry.value, entry.key);
      const { revision, created, session } = entry;
      return { key, subnets: found, attrs, revision, created, session, asked };
    } catch (error) {
      return { where: entry.key, key, reason: messageOf(error) };
    }
  }

  return {
    watched: [config, subnets],
    config,
    leases: subnets,
    lease: (key) => subnets + key,
    readLease,
    readEvent(event) {
      const where = event.type === 'put' ? event.entry.key : event.key;
      if (where === config)
        return { type: 'config', text: event.type === 'put' ? configTextOf(event.entry) : undefined };
      if (event.type === 'delete') {
        if (!where.startsWith(subnets)) return undefined;
        const key = where.slice(subnets.length);
        if (parseSubnetKey(key) === undefined) return { type: 'malformed-removed', where };
        return { type: 'lease-removed', key, revision: event.revision };
      }
      const found = readLease(event.entry);
      if (found === undefined) return undefined;
      return isLease(found) ? { type: 'lease', lease: found } : { type: 'malformed', entry: found };
    },
  };
}
