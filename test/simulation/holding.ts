// The laws about the hold on subnets, looked at from outside: two live nodes never use one subnet, and a fight over a
// key ends. Neither depends on how nodes recognise and ask each other.
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';

/** Time from one look at all hosts to the next. */
const LOOK_MS = 250;
const FIGHT_MS = 60_000;
/** The most changes of one key's owner within that time, by nodes. Faults cause a few. */
const MOST_TURNS = 6;
/** The most writes of one key within that time, by nodes. Questions and answers are writes. */
const MOST_WRITES = 100;

interface Write {
  readonly atMs: number;
  /** Whether the owner of the key is another one than before. */
  readonly isTurn: boolean;
}

export class Holding {
  readonly #cluster: Cluster;
  /** Since when a host has used a subnet that is not its own, by the store or by the use of others. */
  readonly #wrong = new Map<Host, { readonly subnet: string; readonly sinceMs: number }>();
  readonly #writes = new Map<string, Write[]>();
  readonly #lastOwner = new Map<string, Host>();
  #lookedMs = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A node has written this lease, over an earlier one or anew; `owner`: the node that its value names. */
  wrote(host: Host, key: string, owner: Host | undefined, how: 'over' | 'anew'): void {
    const { clock, laws } = this.#cluster;
    const nowMs = clock.monotonicMs();
    const before = this.#lastOwner.get(key);
    if (owner !== undefined) this.#lastOwner.set(key, owner);
    // Who deletes the keys makes room for another owner each time. That is no fight.
    const isTurn = how === 'over' && before !== undefined && owner !== undefined && owner !== before;
    const recent = (this.#writes.get(key) ?? []).filter(({ atMs }) => atMs > nowMs - FIGHT_MS);
    recent.push({ atMs: nowMs, isTurn });
    this.#writes.set(key, recent);
    const turns = recent.filter((write) => write.isTurn).length;
    if (turns <= MOST_TURNS && recent.length <= MOST_WRITES) return;
    const detail = `${key} was written ${recent.length} times in a minute and changed hands ${turns} times`;
    laws.break('a fight over a key ends', `${detail}, the last time by ${host.name}`);
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { clock, hosts } = this.#cluster;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#lookedMs + LOOK_MS) return;
    this.#lookedMs = nowMs;
    const owners = new Map<string, Host | 'a stranger'>();
    for (const lease of this.#cluster.leases()) {
      const owner = hosts.find(({ machine }) => machine.isWriter(lease.attrs.node));
      owners.set(lease.key, owner ?? 'a stranger');
    }
    const inUse = new Map(hosts.map((host) => [host, host.subnetInUse]));
    for (const [host, subnet] of inUse) {
      const owner = subnet === undefined ? undefined : owners.get(keyOf(subnet));
      const others = hosts.filter((other) => other !== host && inUse.get(other) === subnet);
      // Once the store has forgotten all leases, a node that never heard of another owner cannot hear of one.
      const isInnocent =
        owner === undefined && (others.length === 0 || host.witness?.othersMs(subnet ?? '') === undefined);
      if (subnet === undefined || owner === host || isInnocent) {
        this.#wrong.delete(host);
        continue;
      }
      const before = this.#wrong.get(host);
      const wrong = before?.subnet === subnet ? before : { subnet, sinceMs: nowMs };
      this.#wrong.set(host, wrong);
      this.#judge(host, subnet, owner ?? others[0], nowMs - wrong.sinceMs);
    }
  }

  #judge(host: Host, subnet: string, owner: Host | 'a stranger' | undefined, wrongMs: number): void {
    if (Math.min(wrongMs, host.ability.ms) <= host.ability.reactionMs + LOOK_MS) return;
    const whose = typeof owner === 'string' ? owner : (owner?.name ?? 'nobody');
    const detail = `${host.name} has used ${subnet} of ${whose} for ${wrongMs} ms`;
    this.#cluster.laws.break('two nodes never use one subnet', detail);
  }
}

/** The key of a subnet that a host uses: 10.5.34.0/24 becomes 10.5.34.0-24. */
function keyOf(subnet: string): string {
  return subnet.replace('/', '-');
}
