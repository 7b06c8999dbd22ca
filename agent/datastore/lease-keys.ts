// The keys below a network's prefix. They are flannel's, except `challenges/`, which flannel ignores:
//
//     <prefix>/config                            the network configuration
//     <prefix>/subnets/10.5.34.0-24              a lease
//     <prefix>/challenges/10.5.34.0-24/<any>     a question: does the holder of this lease still run?
import { posix } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { excerpt, parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { KvEntry, KvEvent } from '../model/kv.ts';
import { type Lease, type NodeIdentity, parseLeaseValue, parseSubnetKey } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';

export interface LeaseKeys {
  /** Prefix of all keys of the network. */
  readonly all: string;
  readonly config: string;
  /** Prefix of the keys of all leases. */
  readonly leases: string;
  /** Path of the lease with this key. */
  lease(key: string): string;
  /** Prefix of all challenges of the lease with this key. */
  challenges(key: string): string;
  /** Parses an entry under `subnets/`; undefined: the key is not there. */
  readLease(entry: KvEntry): Lease | MalformedEntry | undefined;
  /** Parses a challenge of another node; undefined: the entry is none. */
  readChallenge(entry: KvEntry): Extract<StoreEvent, { type: 'challenge' }> | undefined;
  /** Converts a change; undefined: it means nothing to the agent. */
  readEvent(event: Exclude<KvEvent, { type: 'progress' }>): StoreEvent | undefined;
}

const challenger = v.object({
  ID: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  Name: v.pipe(v.string(), v.maxLength(253)),
});

/** The value of a challenge: the node that asks. */
export function formatChallenge(by: NodeIdentity): string {
  return JSON.stringify({ ID: by.id, Name: by.name });
}

/** Whether a result of `readLease` is a lease. */
export function isLease(found: Lease | MalformedEntry): found is Lease {
  return 'attrs' in found;
}

/** The keys of the network at `prefix`: flannel joins them as paths, so that an empty prefix adds no slash. */
export function createLeaseKeys(prefix: string): LeaseKeys {
  const config = posix.join(prefix, 'config');
  const subnets = posix.join(prefix, 'subnets/');
  const challenges = posix.join(prefix, 'challenges/');

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
    try {
      const attrs = parseLeaseValue(entry.value, entry.key);
      return { key, subnets: found, attrs, revision: entry.revision, session: entry.session };
    } catch (error) {
      return { where: entry.key, key, reason: messageOf(error) };
    }
  }

  function readChallenge({
    key: where,
    value,
  }: KvEntry): Extract<StoreEvent, { type: 'challenge' }> | undefined {
    if (!where.startsWith(challenges)) return undefined;
    const key = where.slice(challenges.length).split('/')[0] ?? '';
    if (parseSubnetKey(key) === undefined) return undefined;
    try {
      const { ID, Name } = parseJson(challenger, value, where);
      return { type: 'challenge', key, by: { id: ID, mac: undefined, name: Name } };
    } catch {
      // No agent of ours writes this, so none waits for an answer.
      return undefined;
    }
  }

  return {
    all: config.slice(0, -'config'.length),
    config,
    leases: subnets,
    lease: (key) => subnets + key,
    challenges: (key) => `${challenges}${key}/`,
    readLease,
    readChallenge,
    readEvent(event) {
      const where = event.type === 'put' ? event.entry.key : event.key;
      if (where === config)
        return { type: 'config', text: event.type === 'put' ? event.entry.value : undefined };
      if (event.type === 'delete') {
        if (!where.startsWith(subnets)) return undefined;
        const key = where.slice(subnets.length);
        if (parseSubnetKey(key) === undefined) return undefined;
        return { type: 'lease-removed', key, revision: event.revision };
      }
      const found = readLease(event.entry);
      if (found === undefined) return readChallenge(event.entry);
      return isLease(found) ? { type: 'lease', lease: found } : { type: 'malformed', entry: found };
    },
  };
}
