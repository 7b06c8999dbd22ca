// The laws that hold at every moment of a simulation, under any fault. They are checked when a node acts; the cheap
// ones also whenever everything has come to rest.
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../agent/base/errors.ts';
import { createLeaseKeys } from '../../agent/datastore/lease-keys.ts';
import type { SubnetEnv } from '../../agent/model/hand-off.ts';
import { containsPrefix, formatPrefix } from '../../agent/model/ip.ts';
import type { Change } from '../../agent/model/kernel.ts';
import type { Kv, KvEntry } from '../../agent/model/kv.ts';
import { formatSubnets, type Lease, type LeaseAttrs } from '../../agent/model/lease.ts';
import type { NetworkConfig } from '../../agent/model/network-config.ts';
import type { Cluster } from './cluster.ts';
import { Holding } from './holding.ts';
import { type Host, NETWORK_PREFIX } from './host.ts';
import { Traffic } from './hostile/traffic.ts';
import { Volume } from './hostile/volume.ts';
import { Questions } from './questions.ts';

/** A broken law. */
export interface Violation {
  readonly law: string;
  readonly detail: string;
  readonly atMs: number;
}

/** Time that a node has to act on news, and the steps of a pass that began before. */
const GRACE_MS = 500;
const STEPS = 5;
/** Time for which a node may still report ready after it has heard of the loss of its lease. */
const READY_GRACE_MS = 2_000;
/** The most turns at one moment of virtual time. More of them are an endless loop. */
const TURNS = 5_000;
/** The store carries out a request that is late within this time. */
const LATE_MS = 15_000;

const LEASES = createLeaseKeys(NETWORK_PREFIX).leases;

export class Laws {
  /** The first broken law. */
  violation: Violation | undefined;
  readonly #cluster: Cluster;
  readonly #questions: Questions;
  readonly #holding: Holding;
  readonly volume: Volume;
  readonly traffic: Traffic;
  #atMs = 0;
  #turns = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#questions = new Questions(cluster);
    this.#holding = new Holding(cluster);
    this.volume = new Volume(cluster);
    this.traffic = new Traffic(cluster);
  }

  break(law: string, detail: string): void {
    if (this.violation !== undefined || this.#cluster.sabotage.judges?.test(law) === false) return;
    const { clock, trace } = this.#cluster;
    this.violation = { law, detail, atMs: clock.monotonicMs() };
    trace.note('law', `broken: ${law}: ${detail}`);
  }

  /** A node asks its kernel for changes. */
  apply(host: Host, changes: readonly Change[]): void {
    const { witness } = host;
    if (witness === undefined) return;
    for (const { op, object } of changes) {
      if (op === 'delete') continue;
      if (object.kind === 'route' && object.type === 'unicast') {
        const knownMs = witness.unleasedMs(object.dst);
        if (knownMs !== undefined && knownMs > graceMs(host))
          this.break('no route to what nobody has', `${host.name} routes ${object.dst}`);
      }
      if (object.kind === 'addr') {
        const subnet = object.prefix.replace('/32', '/24');
        if ((witness.othersMs(subnet) ?? 0) > graceMs(host))
          this.break("nobody uses another's subnet", `${host.name} adds ${object.prefix}`);
      }
    }
  }

  /** A node hands its subnet to the container runtime. */
  handOff(host: Host, { subnet }: SubnetEnv): void {
    const { witness } = host;
    if (witness === undefined) return;
    const text = formatPrefix(subnet);
    if (witness.granted === undefined || formatSubnets(witness.granted.subnets) !== text)
      this.break('subnet.env is what the node holds', `${host.name} writes ${text}`);
    if ((witness.othersMs(text) ?? 0) > graceMs(host))
      this.break("nobody uses another's subnet", `${host.name} hands off ${text}`);
  }

  /** A node's process ended by a fault of the program. */
  exit(host: Host, error: unknown): void {
    this.break('nothing fails of itself', `${host.name}: ${messageOf(error)}`);
  }

  /** A node got another subnet although it had heard of no loss. */
  switched(host: Host, from: string, to: string): void {
    this.break('nobody gives up a subnet that it holds', `${host.name} goes from ${from} to ${to}`);
  }

  /** A node's run since `startMs` has created a key or written one anew. `before`: the entry that it has replaced. */
  wrote(host: Host, startMs: number, before: KvEntry | undefined, entry: KvEntry): void {
    const { key } = entry;
    if (!key.startsWith(LEASES)) return;
    this.#holding.wrote(host, key, this.ownerOf(entry), before === undefined ? 'anew' : 'over');
    const attrs = before && this.#cluster.leaseIn(before)?.attrs;
    const former = before && this.ownerOf(before);
    const isQuestion = this.#cluster.leaseIn(entry)?.asked !== undefined;
    const isSteady = host.isSteadySince(startMs);
    let law: string | undefined;
    if (isQuestion && attrs !== undefined)
      law = this.#questions.ask(host, isSteady, key, subnetOf(key), attrs);
    else if (attrs !== undefined && former !== host && !isFlannels(attrs, host))
      law = this.#questions.brokenBy(host, former, key);
    if (law !== undefined) this.break(law, `${host.name} writes ${key} of ${former?.name ?? 'a stranger'}`);
    if (!isQuestion) this.#questions.end(key);
    if (before === undefined && isSteady) this.#claimed(host, key);
  }

  /** A restart, a new name or a clone elsewhere costs nobody its subnet. */
  #claimed(host: Host, key: string): void {
    const { delayMs, lateRequests } = this.#cluster.weather.now;
    const onWayMs = lateRequests === 0 ? delayMs + 2 * host.mostLagMs : LATE_MS;
    const own = this.#cluster
      .leases()
      .find(
        (lease) =>
          LEASES + lease.key !== key &&
          isDeepStrictEqual(lease.attrs.node, host.facts.node) &&
          lease.attrs.publicIP.ipv4 === host.address &&
          mayHold(lease, this.#cluster.config) &&
          (host.witness?.ownMs(formatSubnets(lease.subnets)) ?? 0) > onWayMs,
      );
    if (own !== undefined)
      this.break('who has a lease takes it up', `${host.name} has ${own.key} and claims ${key}`);
  }

  /** A node has deleted a key, or created it in spite of an entry, or ended its session. */
  removed(host: Host, before: KvEntry, how: 'creates' | 'deletes' | 'gives back'): void {
    const { key } = before;
    if (!key.startsWith(LEASES)) return;
    this.#questions.end(key);
    const owner = this.ownerOf(before);
    if (
      how === 'deletes' &&
      owner !== host &&
      this.#cluster.leaseIn(before)?.attrs.publicIP.ipv4 !== host.address
    )
      this.break('nobody deletes what is not its own', `${host.name} deletes ${key}`);
    if (owner !== undefined && owner !== host)
      this.break('a subnet is claimed where nobody has it', `${host.name} ${how} ${key} of ${owner.name}`);
  }

  /** The host whose agent wrote this entry; undefined: a node outside of the cluster. */
  ownerOf(entry: KvEntry): Host | undefined {
    const attrs = this.#cluster.leaseIn(entry)?.attrs;
    return attrs && this.#cluster.hosts.find(({ machine }) => machine.isWriter(attrs.node));
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { clock, hosts } = this.#cluster;
    const nowMs = clock.monotonicMs();
    this.#turns = nowMs === this.#atMs ? this.#turns + 1 : 0;
    this.#atMs = nowMs;
    for (const host of hosts) host.ability.rest();
    this.#questions.rest();
    this.#holding.rest();
    if (this.#cluster.scene.isHostile === true) {
      this.volume.rest();
      this.traffic.rest();
    }
    if (this.#turns > TURNS) {
      this.break('work ends', `${TURNS} turns at one moment`);
      // Time would never go on.
      throw new Error('work does not end');
    }
    for (const host of hosts) {
      if (host.isGone) continue;
      if (host.kernel.foreign() !== host.foreign)
        this.break('what is not ours stays', `${host.name} has ${host.kernel.foreign()}`);
      const lostMs = host.witness?.lostMs();
      if (lostMs !== undefined && lostMs > READY_GRACE_MS && host.node?.conditions().length === 0)
        this.break('ready means a lease', `${host.name} lost its lease ${lostMs} ms ago and is ready`);
    }
  }
}

function graceMs(host: Host): number {
  return GRACE_MS + STEPS * host.ability.lagMs;
}

/** The subnet in the key of a lease, as text. */
function subnetOf(key: string): string {
  return key.slice(LEASES.length).replace('-', '/');
}

/** Whether flannel wrote a lease at the host's address: who starts there takes it up. */
function isFlannels({ node, publicIP }: LeaseAttrs, { address }: Host): boolean {
  return node === undefined && publicIP.ipv4 === address;
}

/** Whether a node could have got this lease: others may write any. */
function mayHold({ key, subnets: { ipv4: subnet } }: Lease, config: NetworkConfig): boolean {
  if (subnet === undefined || subnet.length !== config.subnetLength || key.includes('&')) return false;
  return containsPrefix(config.network, subnet) && subnet.address !== config.network.address;
}

/** The store as the judge of who holds a subnet: `kv` for one node, with a check of each of its writes. */
export function judgedKv(cluster: Cluster, kv: Kv, host: Host): Kv {
  const { laws, trace } = cluster;
  const at = (key: string): KvEntry | undefined => cluster.memory.entryAt(key);
  // A write of a run that was killed may come late.
  const startMs = cluster.clock.monotonicMs();
  const touch = (key: string): void => {
    if (!key.startsWith(LEASES)) laws.break('nothing but leases is written', `${host.name} writes ${key}`);
  };
  return {
    ...kv,
    async openSession(...args) {
      const session = await kv.openSession(...args);
      host.sessions.add(session);
      return session;
    },
    async create(key, value, session, signal) {
      touch(key);
      const before = at(key);
      const entry = await kv.create(key, value, session, signal);
      trace.note(host.name, `create ${key}: ${entry?.revision ?? 'lost'}`);
      if (entry !== undefined && before !== undefined) laws.removed(host, before, 'creates');
      if (entry !== undefined) laws.wrote(host, startMs, undefined, entry);
      return entry;
    },
    async update(entry, value, signal) {
      touch(entry.key);
      const before = at(entry.key);
      const after = await kv.update(entry, value, signal);
      trace.note(host.name, `update ${entry.key}: ${after?.revision ?? 'lost'}`);
      if (after !== undefined) laws.wrote(host, startMs, before, after);
      return after;
    },
    async delete(entry, signal) {
      touch(entry.key);
      const before = at(entry.key);
      const done = await kv.delete(entry, signal);
      trace.note(host.name, `delete ${entry.key}: ${done ? 'done' : 'lost'}`);
      if (done && before !== undefined) laws.removed(host, before, 'deletes');
      return done;
    },
    async closeSession(session, signal) {
      const bound = cluster.memory.entries().filter((entry) => entry.session === session);
      trace.note(host.name, `close session ${session} of ${bound.map(({ key }) => key).join(' ')}`);
      if (!host.sessions.has(session))
        laws.break('nobody ends the session of others', `${host.name} ends ${session}`);
      for (const entry of bound) laws.removed(host, entry, 'gives back');
      return kv.closeSession(session, signal);
    },
  };
}
