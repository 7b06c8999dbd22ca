// Nodes that keep leases in a store in memory, in virtual time.
import { expect } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { createKvLeaseStore, type KvLeaseStore } from '../../../agent/datastore/kv-lease-store.ts';
import { KvLeaseHolder } from '../../../agent/lease/kv-lease-holder.ts';
import { createLeaseTable } from '../../../agent/lease/lease-table.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import { formatSubnets } from '../../../agent/model/lease.ts';
import type { OwnAttrs } from '../../../agent/model/lease-holder.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import { CHALLENGE_WAIT_MS, LEASE_TTL_SECONDS } from '../../../agent/model/limits.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { createMemoryStore, type MemoryKv } from '../../fakes/memory-kv.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { leaseAttrs, prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';

export const PREFIX = '/coreos.com/network';
export const DAY_MS = LEASE_TTL_SECONDS * 1_000;
export const MARGIN_MINUTES = 60;

interface NodeOptions {
  readonly ip?: string;
  readonly id?: string;
  readonly mac?: string;
  readonly name?: string;
  /** Of the network configuration. */
  readonly fields?: object;
  readonly seed?: number;
  /** Default: there is always one. */
  readonly hasConfig?: () => boolean;
  /** Puts something between the holder and its store. */
  readonly wrap?: (store: KvLeaseStore) => KvLeaseStore;
  /** Puts something between the store and its keys. */
  readonly wrapKv?: (kv: Kv) => Kv;
}

export interface TestNode {
  readonly kv: MemoryKv;
  readonly store: KvLeaseStore;
  readonly holder: KvLeaseHolder;
  /** Its first announcement. */
  readonly attrs: OwnAttrs;
  readonly lines: string[];
  /** Its requests to the store by name. */
  readonly counts: Record<string, number>;
  /** Asked at each claim from now on: true lets it fail as if the store had failed. */
  readonly refuseClaims: (refuses: () => boolean) => void;
  /** Subnets that it got after a loss. */
  readonly changes: string[];
  /** Acquires a lease and keeps it; gives its subnet. */
  readonly start: (previous?: string) => Promise<string>;
  readonly acquire: (previous?: string) => Promise<void>;
  /** Adds to `changes`; `start` gives it to `run`. */
  readonly noteChange: () => void;
  readonly notice: (event: StoreEvent) => void;
  /** The reason of its condition; undefined: it has none. */
  readonly reason: () => string | undefined;
  /** As if killed: nothing is given back. */
  readonly stop: () => Promise<void>;
}

export interface HolderBed {
  readonly clock: VirtualClock;
  readonly kv: MemoryKv;
  readonly node: (options?: NodeOptions) => Promise<TestNode>;
  /** All leases in the store as `subnet publicIP`. */
  readonly leases: () => Promise<string[]>;
  /** Writes a lease value by hand; without a session it is a reservation. */
  readonly write: (subnet: string, value: object, ttlSeconds?: number) => Promise<void>;
}

/** A store in memory, and nodes on it, in virtual time; everything ends with `work`. */
export async function holderBed(work: (world: HolderBed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const kv = memory.open();
  const stops: (() => Promise<void>)[] = [];
  const keyOf = (subnet: string): string => `${PREFIX}/subnets/${subnet.replace('/', '-')}`;

  const node = async (options: NodeOptions = {}): Promise<TestNode> => {
    const { ip = '192.168.77.1', id = '00000000000000aa', mac, name = 'h1', seed = 1 } = options;
    const changes: string[] = [];
    const { log, lines } = captureLog(name, 'debug');
    const random = seededRandom(seed);
    const own = memory.open();
    const counts: Record<string, number> = {};
    const direct = createKvLeaseStore(counted(options.wrapKv?.(own) ?? own, counts), {
      prefix: PREFIX,
      clock,
      random,
      log,
      configHint: '',
    });
    let refuses = (): boolean => false;
    const wrapped = options.wrap?.(direct) ?? direct;
    const store: KvLeaseStore = {
      ...wrapped,
      claim: async (...args) => {
        if (refuses()) throw new TwillError('datastore', 'refused');
        return wrapped.claim(...args);
      },
    };
    const table = createLeaseTable();
    const attrs: OwnAttrs = { ...leaseAttrs(ip), node: { id, mac, name } };
    const holder = new KvLeaseHolder({
      store,
      clock,
      random,
      log,
      config: parseNetworkConfig(JSON.stringify({ Network: '10.5.0.0/16', ...options.fields }), 'config'),
      attrs,
      known: {
        get leases() {
          return table.leases;
        },
        get config() {
          return (options.hasConfig?.() ?? true) ? '{}' : undefined;
        },
      },
      spared: () => [],
      renewMarginMinutes: MARGIN_MINUTES,
    });
    const end = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const event of store.watch(end.signal)) {
        table.apply(event);
        holder.notice(event);
      }
    };
    let tasks: Promise<unknown>[] = [follow()];
    await clock.settle();
    const inUse = (): string | undefined => holder.subnets && formatSubnets(holder.subnets);
    const noteChange = (): void => {
      const subnet = inUse();
      if (subnet !== undefined) changes.push(subnet);
    };
    const acquire = async (previous?: string): Promise<void> => {
      const acquiring = holder.acquire(
        previous === undefined ? undefined : { ipv4: prefix(previous) },
        end.signal,
      );
      // The holder's time to answer passes too. The caller handles the outcome.
      acquiring.catch(() => undefined);
      await clock.advance(CHALLENGE_WAIT_MS * 2);
      return await acquiring;
    };
    const stop = async (): Promise<void> => {
      end.abort();
      await Promise.allSettled(tasks);
      tasks = [];
    };
    stops.push(async () => {
      await stop();
      await own[Symbol.asyncDispose]();
    });
    return {
      kv: own,
      store,
      holder,
      notice: (event) => holder.notice(event),
      attrs,
      lines,
      counts,
      changes,
      refuseClaims: (next) => {
        refuses = next;
      },
      acquire,
      noteChange,
      reason: () => holder.conditions()[0]?.reason,
      stop,
      async start(previous) {
        await acquire(previous);
        const acquired = inUse();
        tasks.push(holder.run(noteChange, end.signal));
        await clock.settle();
        return acquired ?? 'none';
      },
    };
  };

  try {
    await work({
      clock,
      kv,
      node,
      async leases() {
        const { entries } = await kv.list(`${PREFIX}/subnets/`);
        return entries.map(
          ({ key, value, session }) =>
            `${key.slice(PREFIX.length + 9).replace('-', '/')} ${String(JSON.parse(value ?? '').PublicIP)}${session === undefined ? ' reserved' : ''}`,
        );
      },
      async write(subnet, value, ttlSeconds) {
        const session = ttlSeconds === undefined ? undefined : await kv.openSession(ttlSeconds);
        expect(await kv.create(keyOf(subnet), JSON.stringify(value), session)).toBeDefined();
        await clock.settle();
      },
    });
  } finally {
    for (const stop of stops) await stop();
    await kv[Symbol.asyncDispose]();
  }
}

function counted(kv: Kv, counts: Record<string, number>): Kv {
  return new Proxy(kv, {
    get(target, name: string) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        counts[name] = (counts[name] ?? 0) + 1;
        return Reflect.apply(method, target, args) as unknown;
      };
    },
  });
}

/** A value of flannel at the default address of nodes. */
export const FLANNELS = { PublicIP: '192.168.77.1', PublicIPv6: null, BackendType: 'host-gw' };
