// A hostile writer: somebody else who may write anything under the network's prefix. It may not do what the store takes
// for the word of a node or of the operator:
//
// - hand a node's own key to another node or address, or delete it, or bind it to a session that ends: who writes a
//   node's key is that node, as far as the store can tell
// - write another valid network configuration: every node that starts follows it
// - fill more than half of the network: a new node would have no subnet
// - touch what is neither under the prefix nor its own, which shows whether nodes touch it
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { formatPrefix, type Prefix } from '../../../agent/model/ip.ts';
import type { KvEntry } from '../../../agent/model/kv.ts';
import { type Lease, parseSubnetKey } from '../../../agent/model/lease.ts';
import { subnetAt, subnetCount } from '../../../agent/model/network-config.ts';
import type { MemoryStore } from '../../fakes/memory-kv.ts';
import type { Cluster } from '../cluster.ts';
import { type Host, NETWORK_PREFIX } from '../host.ts';
import { type Chance, createChance } from './chance.ts';

const KEYS = createLeaseKeys(NETWORK_PREFIX);
const SEED = 0x686f7374;
const MOST_KEYS = 400;
const SESSION_SECONDS = 86_400;

/** A node's own lease, as the store holds it. */
export interface Victim {
  readonly host: Host;
  readonly value: string;
  readonly lease: Lease;
}

export class HostileWriter {
  readonly chance: Chance;
  readonly cluster: Cluster;
  /** A session that lasts. Keys of programs that have nothing to do with the network are bound to it, too. */
  foreignSession: string | undefined;
  /** The number of its large values so far, and that of its crowds of leases. */
  largeValues = 0;
  crowds = 0;
  /** The revision of its last write of each key, below the prefix of leases. */
  readonly #own = new Map<string, number>();
  /** Those that a node could lease. */
  readonly #fitting = new Set<string>();

  constructor(cluster: Cluster, seed: number) {
    this.cluster = cluster;
    this.chance = createChance(seed ^ SEED);
  }

  async open(): Promise<void> {
    this.foreignSession = await this.cluster.admin.openSession(SESSION_SECONDS);
  }

  /** The leases that nodes hold, or held when their agents ended. */
  victims(): readonly Victim[] {
    return this.cluster.present().flatMap((host) => {
      const { subnetInUse, handOff } = host;
      const text = subnetInUse ?? (handOff.env && formatPrefix(handOff.env.subnet));
      const entry = text === undefined ? undefined : this.#entryAt(text.replace('/', '-'));
      const lease = entry && this.cluster.leaseIn(entry);
      if (entry === undefined || lease === undefined || !host.machine.isWriter(lease.attrs.node)) return [];
      return [{ host, value: entry.value, lease }];
    });
  }

  /** A subnet that a node could lease, free or not. */
  anySubnet(): Prefix {
    const { config } = this.cluster;
    return subnetAt(config, this.chance.upTo(subnetCount(config)));
  }

  /** Writes like `etcdctl put`, in place of its own entry at most. Whether it has. */
  async put(key: string, value: string, session?: string): Promise<boolean> {
    const { admin, config } = this.cluster;
    const before = this.#entryAt(key);
    if (this.#isHeld(key) || (before !== undefined && !this.#isMine(before))) return false;
    const most = Math.min(MOST_KEYS, Math.floor(subnetCount(config) / 2));
    const isFitting = parseSubnetKey(key)?.ipv4?.length === config.subnetLength;
    if (before === undefined && this.#own.size >= MOST_KEYS) return false;
    if (before === undefined && isFitting && this.#fitting.size >= most) return false;
    const written =
      before === undefined
        ? await admin.create(KEYS.leases + key, value, session)
        : await admin.update({ ...before, session }, value);
    if (written !== undefined) this.#own.set(key, written.revision);
    if (written !== undefined && isFitting) this.#fitting.add(key);
    return written !== undefined;
  }

  /** Writes over a node's own key, with its session or with none. */
  async rewrite({ host, lease }: Victim, value: string): Promise<void> {
    // A former value of a node that has moved since would hand its key to who has that address.
    if (lease.attrs.publicIP.ipv4 !== host.address) return;
    const now = this.#entryAt(lease.key);
    if (now === undefined) return;
    await this.cluster.admin.update(
      { ...now, session: this.chance.is(0.5) ? now.session : undefined },
      value,
    );
  }

  /** Deletes a key of its own. */
  async delete(key: string): Promise<void> {
    const entry = this.#entryAt(key);
    if (entry === undefined || !this.#isMine(entry) || this.#isHeld(key)) return;
    await this.cluster.admin.delete(entry);
    this.#own.delete(key);
    this.#fitting.delete(key);
  }

  /** Deletes all that it has written and no node has taken over, and what is no lease. */
  async deleteAll(): Promise<void> {
    const { memory, admin } = this.cluster;
    for (const entry of memory.entries()) {
      const key = entry.key.slice(KEYS.leases.length);
      if (!entry.key.startsWith(KEYS.leases)) continue;
      const lease = this.cluster.leaseIn(entry);
      const isAsked = this.#own.has(key) && lease?.asked !== undefined;
      const isJunk = (isAsked || this.#isMine(entry)) && !this.#isHeld(key);
      if (isJunk || lease === undefined) await admin.delete(entry);
    }
  }

  /** Writes this text as the network configuration; undefined: deletes it. */
  async configure(text: string | undefined): Promise<void> {
    const { admin, memory } = this.cluster;
    const entry = memory.entryAt(KEYS.config);
    if (entry === undefined) {
      if (text !== undefined) await admin.create(KEYS.config, text, undefined);
    } else if (text === undefined) await admin.delete(entry);
    else if (text !== entry.value) await admin.update(entry, text);
  }

  #entryAt(key: string): ReturnType<MemoryStore['entryAt']> {
    return this.cluster.memory.entryAt(KEYS.leases + key);
  }

  // A node may have claimed the key after ours had expired.
  #isMine({ key, revision }: KvEntry): boolean {
    return this.#own.get(key.slice(KEYS.leases.length)) === revision;
  }

  // A node has this key, or had it before its agent ended.
  #isHeld(key: string): boolean {
    const text = key.replace('-', '/');
    return this.cluster.hosts.some(
      ({ subnetInUse, handOff: { env } }) =>
        subnetInUse === text || (env !== undefined && formatPrefix(env.subnet) === text),
    );
  }
}
