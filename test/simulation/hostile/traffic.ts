// The laws about traffic while others write junk, looked at from outside: who is here is reached, and stays reached; no
// route leads where no node may be; and a node keeps the subnet that the store says is its own.
//
// A node's right to its subnet and its MAC is as old as its key. A lease that is older and claims one of them makes the
// younger one's owner wait. So a node that lost its lease while others wrote junk has lost its age. A node that first
// hears of another one while that one's lease is garbled may believe who claims the same meanwhile, and goes on to.
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { containsPrefix, formatPrefix, overlaps, parsePrefix } from '../../../agent/model/ip.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { Cluster } from '../cluster.ts';
import { type Host, NETWORK_PREFIX } from '../host.ts';
import { unreachable } from '../reach.ts';
import { halfIn, isNoPeer, type Ways, waysOf } from '../ways.ts';

const LOOK_MS = 250;
/** A node that hears the store and whose peer is ready has made the way there within this time. */
const FIRST_MS = 5_000;
/** The longest gap of a way that stands: a replacement takes two requests to the kernel. */
const GAP_MS = 500;
const BAD_MS = 1_000;

const KEYS = createLeaseKeys(NETWORK_PREFIX);

/** The right of a node to its subnet, by the store. Another run or address of the node makes another claim. */
interface Claim {
  readonly runsSinceMs: number | undefined;
  readonly key: string;
  readonly address: string;
  /** The revision at which its key was created. */
  readonly created: number;
  /** Whether its entry is no lease at this moment. Nodes keep what they know then. */
  readonly isGarbled: boolean;
  /** Why no node has to reach this one; undefined: every node has to. */
  readonly excuse: string | undefined;
  /** Whether another lease claims the same. */
  readonly isContested: boolean;
}

/** A way from one host to another, which must stand. */
interface Way {
  readonly id: string;
  readonly sinceMs: number;
  /** When it was last seen to stand. */
  stoodMs: number | undefined;
}

interface Judged {
  /** The subnet and the address of the host. */
  readonly of: string;
  readonly wrong: string | undefined;
  readonly half: string | undefined;
}

export class Traffic {
  readonly #cluster: Cluster;
  readonly #ways = new Map<string, Way>();
  readonly #claims = new Map<Host, Claim>();
  /** The lease of the other end, by which each way last stood. */
  readonly #known = new Map<string, string>();
  /** When somebody last gave each host's lease another announcement. */
  readonly #overwrittenMs = new Map<Host, number>();
  /** The hosts that have not repaired that since. */
  readonly #unrepaired = new Set<Host>();
  /** When each host's lease was last seen to be another than its own. */
  readonly #wrongMs = new Map<Host, number>();
  /** The faults of each state of a kernel. */
  readonly #judged = new WeakMap<Ways, Judged>();
  /** Since when each kernel has had a fault. */
  readonly #badMs = new Map<string, number>();
  #lookedMs = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const nowMs = this.#cluster.clock.monotonicMs();
    if (nowMs < this.#lookedMs + LOOK_MS) return;
    this.#lookedMs = nowMs;
    const leases = this.#cluster.leases();
    const hosts = this.#cluster.present().filter(({ node }) => node !== undefined);
    for (const host of this.#cluster.hosts) this.#follow(host, leases);
    for (const host of hosts) this.#judgeKernel(host, nowMs);
    if (this.#cluster.config.backend.type === 'alloc') return;
    for (const from of hosts) for (const to of hosts) if (from !== to) this.#judgeWay(from, to, nowMs);
  }

  /** Somebody gives a host's lease another announcement. Others lose the host until it has repaired that. */
  overwritten(host: Host): void {
    const nowMs = this.#cluster.clock.monotonicMs();
    this.#overwrittenMs.set(host, nowMs);
    this.#wrongMs.set(host, nowMs);
    this.#unrepaired.add(host);
  }

  /**
   * Why one host does not have to reach another now; undefined: it has to. A tunnel port is open to peers alone, so
   * each end has to take the other one for a peer.
   */
  excuse(from: Host, to: Host): string | undefined {
    return this.#doubtOf(from, to) ?? this.#doubtOf(to, from);
  }

  /** Why a host does not have to take another one for a peer. */
  #doubtOf(from: Host, to: Host): string | undefined {
    const claim = this.#claims.get(to);
    if (claim === undefined) return 'it has no lease of its own';
    // It may have been repaired between two looks.
    const wasWrong = (this.#wrongMs.get(to) ?? -LOOK_MS) + LOOK_MS >= (from.runsSinceMs ?? 0);
    const isKnown = this.#known.get(nameOf(from, to)) === knowledgeOf(from, claim);
    if ((claim.isContested || this.#hasJunk()) && wasWrong && !isKnown)
      return 'its lease was garbled while others claimed the same';
    return claim.excuse;
  }

  /** Whether an entry is no lease now: nodes may know it as the lease that it was, which claimed anything. */
  #hasJunk(): boolean {
    const { memory } = this.#cluster;
    const entries = memory.entries().filter(({ key }) => key.startsWith(KEYS.leases));
    return entries.length > this.#cluster.leases().length;
  }

  /** Notes what the store says of the host's subnet, and whether the host has given it up. */
  #follow(host: Host, leases: readonly Lease[]): void {
    const before = this.#claims.get(host);
    const claim = this.#claimOf(host, leases, before);
    if (claim?.isGarbled === false) this.#unrepaired.delete(host);
    if (this.#isWrong(host, leases) || this.#unrepaired.has(host)) this.#wrongMs.set(host, this.#lookedMs);
    if (claim === undefined) this.#claims.delete(host);
    else this.#claims.set(host, claim);
    if (before === undefined || host.runsSinceMs !== before.runsSinceMs) return;
    const inUse = keyInUse(host) ?? 'no subnet';
    if (inUse === before.key || !this.#stands(host, before, leases)) return;
    this.#cluster.laws.break(
      'a node keeps the subnet that is its own',
      `${host.name} has ${inUse}, and the store says that ${before.key} is its own`,
    );
  }

  #claimOf(host: Host, leases: readonly Lease[], before: Claim | undefined): Claim | undefined {
    const { address, runsSinceMs } = host;
    const key = keyInUse(host);
    if (key === undefined || runsSinceMs === undefined) return undefined;
    const lease = leases.find((each) => each.key === key);
    if (lease !== undefined) {
      if (!this.#isRight(host, lease)) return undefined;
      const rivals = rivalsOf(lease, leases);
      const older = rivals.find(({ created }) => created < lease.created);
      const excuse = older && `${older.key} is older`;
      const { created } = lease;
      return { runsSinceMs, key, address, created, isGarbled: false, excuse, isContested: rivals.length > 0 };
    }
    const isThere = this.#cluster.memory.entryAt(KEYS.leases + key) !== undefined;
    const isSame = before?.key === key && before.address === address && before.runsSinceMs === runsSinceMs;
    return isThere && isSame ? { ...before, isGarbled: true } : undefined;
  }

  /** Whether the store still has the lease of this claim, or junk in its place. */
  #stands(host: Host, { key }: Claim, leases: readonly Lease[]): boolean {
    const lease = leases.find((each) => each.key === key);
    if (lease === undefined) return this.#cluster.memory.entryAt(KEYS.leases + key) !== undefined;
    return host.machine.isWriter(lease.attrs.node) && lease.attrs.publicIP.ipv4 === host.address;
  }

  /** Whether the entry of the host's key, which it holds or held, is not its lease as it should be. */
  #isWrong(host: Host, leases: readonly Lease[]): boolean {
    const { env } = host.handOff;
    const key = keyInUse(host) ?? (env && `${env.subnet.address}-${env.subnet.length}`);
    if (key === undefined || this.#cluster.memory.entryAt(KEYS.leases + key) === undefined) return false;
    const lease = leases.find((each) => each.key === key);
    return lease === undefined || !this.#isRight(host, lease);
  }

  /** Whether a lease says what is true of its node. */
  #isRight(host: Host, { attrs }: Lease): boolean {
    if (!host.machine.isWriter(attrs.node) || attrs.publicIP.ipv4 !== host.address) return false;
    if (attrs.backendType !== this.#cluster.config.backend.type) return false;
    if (attrs.backendType !== 'vxlan') return true;
    // Without a device nobody knows the MAC that the node will have.
    const [device] = waysOf(host.kernel).links.values();
    return device?.type === 'vxlan' && device.mac === macIn(attrs);
  }

  #judgeWay(from: Host, to: Host, nowMs: number): void {
    const name = nameOf(from, to);
    const [here, there] = [this.#claims.get(from), this.#claims.get(to)];
    const before = this.#ways.get(name);
    if (here === undefined || there === undefined || (here.excuse ?? there.excuse) !== undefined) {
      this.#ways.delete(name);
      return;
    }
    const [hereMs = 0, thereMs = 0] = [this.#overwrittenMs.get(from), this.#overwrittenMs.get(to)];
    const id = `${textOf(here)} to ${textOf(there)} since ${Math.max(hereMs, thereMs)}`;
    const isOpen = before?.id === id;
    const isReady = [from, to].every(({ node }) => node?.conditions().length === 0);
    // A node that has not heard of a lease before it was garbled does not know it.
    if (!(isOpen && before.stoodMs !== undefined) && (!isReady || there.isGarbled || here.isGarbled)) {
      this.#ways.delete(name);
      return;
    }
    const way = isOpen ? before : { id, sinceMs: nowMs, stoodMs: undefined };
    this.#ways.set(name, way);
    const why = unreachable(from, to, this.#cluster.hosts);
    const reactionMs = Math.max(from.ability.reactionMs, to.ability.reactionMs);
    const waitedMs = Math.min(nowMs - way.sinceMs, from.ability.ms, to.ability.ms);
    if (why === undefined) {
      // Who has not heard of all that was before may lose the way yet.
      if (way.stoodMs !== undefined || waitedMs > reactionMs) way.stoodMs = nowMs;
      this.#known.set(name, knowledgeOf(from, there));
      return;
    }
    const { laws } = this.#cluster;
    const detail = `${from.name} does not reach ${to.name}: ${why}`;
    if (way.stoodMs === undefined) {
      if (this.excuse(from, to) !== undefined) return;
      if (waitedMs > FIRST_MS + reactionMs) laws.break('who is here is reached', detail);
    } else if (nowMs - way.stoodMs > GAP_MS + from.mostLagMs * 3)
      laws.break('who is reached stays reached', detail);
  }

  /** No route leads to what is not a subnet of another node, and none leads nowhere. */
  #judgeKernel(host: Host, nowMs: number): void {
    const ways = waysOf(host.kernel);
    const of = `${host.subnetInUse} ${host.address}`;
    let judged = this.#judged.get(ways);
    if (judged?.of !== of) {
      judged = { of, wrong: this.#wrongIn(host, ways), half: halfIn(ways, host.facts.underlay.name) };
      this.#judged.set(ways, judged);
    }
    this.#lasts(host, 'no way leads where no node may be', judged.wrong, nowMs);
    this.#lasts(host, 'no way is half', judged.half, nowMs);
  }

  /** Breaks a law where a fault of a kernel lasts. The host's address may have changed a moment ago. */
  #lasts(host: Host, law: string, fault: string | undefined, nowMs: number): void {
    const name = `${host.name} ${law}`;
    if (fault === undefined) {
      this.#badMs.delete(name);
      return;
    }
    const sinceMs = this.#badMs.get(name) ?? nowMs;
    this.#badMs.set(name, sinceMs);
    if (Math.min(nowMs - sinceMs, host.ability.ms) > BAD_MS + host.ability.reactionMs)
      this.#cluster.laws.break(law, `${host.name}: ${fault}`);
  }

  #wrongIn({ subnetInUse, address }: Host, { routes, entries }: Ways): string | undefined {
    const { network, subnetLength } = this.#cluster.config;
    const own = subnetInUse === undefined ? undefined : parsePrefix(subnetInUse);
    for (const { dst, via, dev } of routes.values()) {
      const prefix = parsePrefix(dst);
      if (prefix === undefined || !containsPrefix(network, prefix))
        return `a route to ${dst}, outside of the network`;
      if (prefix.length !== subnetLength) return `a route to ${dst}, which is no subnet of a node`;
      if (own !== undefined && overlaps(prefix, own))
        return `a route to ${dst}, over its own ${formatPrefix(own)}`;
      if (dev === 'eth0' && via !== undefined && isNoPeer(via, address))
        return `a route to ${dst} via ${via}`;
    }
    for (const { mac, dst } of entries.values()) if (isNoPeer(dst, address)) return `${mac} is at ${dst}`;
    return undefined;
  }
}

function macIn({ backendData }: Lease['attrs']): string | undefined {
  const data = backendData.ipv4;
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined;
  const mac = (data as { readonly VtepMAC?: unknown }).VtepMAC;
  return typeof mac === 'string' ? mac.toLowerCase() : undefined;
}

/** The other leases that claim what this one claims. */
function rivalsOf(own: Lease, leases: readonly Lease[]): readonly Lease[] {
  const [mac, { ipv4: subnet }, { ipv4: address }] = [macIn(own.attrs), own.subnets, own.attrs.publicIP];
  return leases.filter(
    ({ key, subnets, attrs }) =>
      key !== own.key &&
      ((mac !== undefined && macIn(attrs) === mac && attrs.publicIP.ipv4 !== address) ||
        (subnets.ipv4?.address === subnet?.address && subnets.ipv4?.length === subnet?.length)),
  );
}

function keyInUse({ subnetInUse }: Host): string | undefined {
  return subnetInUse?.replace('/', '-');
}

function textOf({ runsSinceMs, key, address }: Claim): string {
  return `${runsSinceMs} ${key} ${address}`;
}

function nameOf(from: Host, to: Host): string {
  return `${from.name} ${to.name}`;
}

/** The lease that a host knows in this run. */
function knowledgeOf({ runsSinceMs }: Host, { key, address, created }: Claim): string {
  return `${runsSinceMs} ${key} ${address} ${created}`;
}
