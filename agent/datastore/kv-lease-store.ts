// Leases in any key-value store, under flannel's keys. The store alone decides who gets a subnet: a create fails where
// the key exists. A lease lives as long as its session. A key without a session is a reservation, and stays one.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ConfigStore } from '../model/config-source.ts';
import type { Kv, KvEntry } from '../model/kv.ts';
import { formatLeaseValue, formatSubnetKey, type Lease, type LeaseAttrs } from '../model/lease.ts';
import type { LeaseSource } from '../model/lease-source.ts';
import type { HeldLease, LeaseStore } from '../model/lease-store.ts';
import { LEASE_TTL_SECONDS } from '../model/limits.ts';
import { isOwn } from '../model/ownership.ts';
import { askHolder } from './challenge.ts';
import { createKvConfigStore } from './kv-config-store.ts';
import { createLeaseKeys, isLease } from './lease-keys.ts';
import { watchLeases } from './lease-watch.ts';
import { LIMITS } from './limits.ts';

export interface KvLeaseStoreOptions {
  /** Without a slash at its end. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** The command that writes the network configuration. */
  readonly configHint: string;
}

/** All that a key-value store is to the agent. */
export interface KvLeaseStore extends LeaseSource, LeaseStore {
  readonly config: ConfigStore;
}

/** An entry that is a lease. */
interface Found {
  readonly entry: KvEntry;
  readonly lease: Lease;
}

/** Another write came before ours. */
const RACED = 'raced';

/** A lease store over `kv`, which it disposes of at its end. */
export function createKvLeaseStore(kv: Kv, options: KvLeaseStoreOptions): KvLeaseStore {
  const { clock, random, log } = options;
  const keys = createLeaseKeys(options.prefix);
  /** The session of a claim that was lost, kept for the next claim. */
  let spare: { readonly session: string; readonly losses: number } | undefined;

  async function nextSession(signal?: AbortSignal): Promise<{ session: string; losses: number }> {
    const kept = spare;
    spare = undefined;
    // A claim is also refused where its session has ended: a session that loses again is checked.
    if (
      kept !== undefined &&
      (kept.losses === 1 || (await kv.keepAlive(kept.session, signal)) !== undefined)
    ) {
      return kept;
    }
    return { session: await kv.openSession(LEASE_TTL_SECONDS, signal), losses: 0 };
  }

  // The session ends by itself where closing it fails.
  async function abandon(session: string): Promise<void> {
    await kv.closeSession(session).catch((error: unknown) => {
      log.debug('could not close a session', { reason: String(error) });
    });
  }

  async function readLease({ key }: Lease, signal?: AbortSignal): Promise<Found | undefined> {
    const entry = await kv.get(keys.lease(key), signal);
    const found = entry === undefined ? undefined : keys.readLease(entry);
    return entry !== undefined && found !== undefined && isLease(found) ? { entry, lease: found } : undefined;
  }

  async function renew(held: HeldLease, signal?: AbortSignal): Promise<HeldLease | undefined> {
    if (held.lease.session !== undefined) {
      const ttlSeconds = await kv.keepAlive(held.lease.session, signal);
      return ttlSeconds === undefined ? undefined : { lease: held.lease, ttlSeconds };
    }
    const found = await readLease(held.lease, signal);
    if (found === undefined || !isOwn(found.lease, held.lease.attrs, held.lease)) return undefined;
    // The former revision stays: a write that the holder has not heard of may be a challenge.
    const { session } = found.lease;
    // The reservation was turned into a lease, which has to be kept alive.
    if (session !== undefined)
      return renew({ lease: { ...held.lease, session }, ttlSeconds: undefined }, signal);
    return { lease: held.lease, ttlSeconds: undefined };
  }

  /** Writes a lease with a session of its own. Undefined: it was not written. */
  async function bind(
    lease: Pick<Lease, 'key' | 'subnets' | 'attrs'>,
    write: (value: string, session: string) => Promise<KvEntry | undefined>,
    signal?: AbortSignal,
  ): Promise<HeldLease | undefined> {
    const { session, losses } = await nextSession(signal);
    try {
      const entry = await write(formatLeaseValue(lease.attrs), session);
      if (entry === undefined) {
        if (spare === undefined) spare = { session, losses: losses + 1 };
        else await abandon(session);
        return undefined;
      }
      const { revision, created } = entry;
      const written = { ...lease, revision, created, session, asked: undefined };
      return { lease: written, ttlSeconds: LEASE_TTL_SECONDS };
    } catch (error) {
      // The key may have been written all the same; it ends with its session.
      await abandon(session);
      throw error;
    }
  }

  async function keepAndWrite(
    { entry, lease }: Found,
    attrs: LeaseAttrs,
    signal?: AbortSignal,
  ): Promise<HeldLease | typeof RACED | undefined> {
    const isReservation = lease.session === undefined;
    const held = isReservation
      ? { lease, ttlSeconds: undefined }
      : await renew({ lease, ttlSeconds: undefined }, signal);
    if (held === undefined) return undefined;
    const wanted = merge(lease.attrs, attrs);
    if (isDeepStrictEqual(wanted, lease.attrs) && lease.asked === undefined) return held;
    const written = await kv.update(entry, formatLeaseValue(wanted), signal);
    if (written === undefined) return RACED;
    return { ...held, lease: { ...held.lease, attrs: wanted, revision: written.revision, asked: undefined } };
  }

  /** Takes over the lease of a silent holder. It may only have been slow, and may end its session at any time. */
  async function takeOver(
    { entry, lease }: Found,
    attrs: LeaseAttrs,
    signal?: AbortSignal,
  ): Promise<HeldLease | undefined> {
    if (lease.session === undefined) {
      const held = await keepAndWrite({ entry, lease }, attrs, signal);
      return held === RACED ? undefined : held;
    }
    const wanted = { ...lease, attrs: merge(lease.attrs, attrs) };
    return bind(wanted, (value, session) => kv.update({ ...entry, session }, value, signal), signal);
  }

  /** Writes our lease over a value that is none. */
  async function restore(
    entry: KvEntry,
    lease: Lease,
    attrs: LeaseAttrs,
    signal?: AbortSignal,
  ): Promise<HeldLease | typeof RACED> {
    // The write may have removed the session, and a lease must not become a reservation by that.
    const isReservation = lease.session === undefined;
    const kept = isReservation ? undefined : await kv.keepAlive(lease.session, signal);
    const session =
      isReservation || kept !== undefined ? lease.session : await kv.openSession(LEASE_TTL_SECONDS, signal);
    const wanted = merge(lease.attrs, attrs);
    const written = await kv.update({ ...entry, session }, formatLeaseValue(wanted), signal);
    if (written === undefined) return RACED;
    const { revision, created } = written;
    return {
      lease: { ...lease, attrs: wanted, revision, created, session, asked: undefined },
      ttlSeconds: isReservation ? undefined : (kept ?? LEASE_TTL_SECONDS),
    };
  }

  return {
    config: createKvConfigStore(kv, keys.config, options.configHint),
    watch: (signal) => watchLeases(kv, keys, clock, random, signal),
    claim(subnets, attrs, signal) {
      const wanted = { key: formatSubnetKey(subnets), subnets, attrs };
      const create = (value: string, session: string) =>
        kv.create(keys.lease(wanted.key), value, session, signal);
      return bind(wanted, create, signal);
    },
    adopt: (lease, attrs, signal) =>
      untilWritten(lease.key, async () => {
        const found = await readLease(lease, signal);
        if (found === undefined) return undefined;
        if (isOwn(found.lease, attrs, undefined)) return keepAndWrite(found, attrs, signal);
        // Equal revisions prove nothing: in a store that lost its data, another node's lease may have the same one.
        return isDeepStrictEqual(found.lease, lease) ? takeOver(found, attrs, signal) : undefined;
      }),
    repair: ({ lease }, attrs, signal) =>
      untilWritten(lease.key, async () => {
        const entry = await kv.get(keys.lease(lease.key), signal);
        const found = entry && keys.readLease(entry);
        if (entry === undefined || found === undefined) return undefined;
        if (!isLease(found)) return restore(entry, lease, attrs, signal);
        return isOwn(found, attrs, lease) ? keepAndWrite({ entry, lease: found }, attrs, signal) : undefined;
      }),
    renew,
    async release({ lease }, signal) {
      if (lease.session !== undefined) await kv.closeSession(lease.session, signal);
    },
    challenge: (lease, by, waitMs, signal) => askHolder(kv, keys, clock, { lease, by, waitMs }, signal),
    reconnect: () => kv.reconnect?.(),
    async [Symbol.asyncDispose]() {
      if (spare !== undefined) await abandon(spare.session);
      spare = undefined;
      await kv[Symbol.asyncDispose]();
    },
  };
}

// Unknown fields of the value are kept.
function merge(former: LeaseAttrs, attrs: LeaseAttrs): LeaseAttrs {
  return { ...attrs, extra: { ...former.extra, ...attrs.extra } };
}

/** Repeats a write of our lease for as long as other writes come before it. Nodes that ask about it write it, too. */
async function untilWritten(
  key: string,
  attempt: () => Promise<HeldLease | typeof RACED | undefined>,
): Promise<HeldLease | undefined> {
  for (let attempts = 0; attempts < LIMITS.leaseAttempts; attempts++) {
    const outcome = await attempt();
    if (outcome !== RACED) return outcome;
  }
  throw new TwillError(
    'datastore',
    `others wrote the lease ${key} before us ${LIMITS.leaseAttempts} times in a row`,
  );
}
