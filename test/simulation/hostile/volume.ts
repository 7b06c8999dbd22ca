// The laws about amounts: whatever others write, a node says little, and holds no more than the leases that the store
// holds.
import { LOG_FORMATS, type LogFields, type Logger, type LogLevel } from '../../../agent/base/log.ts';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { parseSubnetKey } from '../../../agent/model/lease.ts';
import { valueOf } from '../../support/metric-value.ts';
import type { Cluster } from '../cluster.ts';
import { type Host, NETWORK_PREFIX } from '../host.ts';
import { waysOf } from '../ways.ts';

const MINUTE_MS = 60_000;
/** The most that one run of an agent may write to its log in a minute. */
const MOST_LINES = 300;
const MOST_BYTES = 64 * 1024;
/** The objects of a node itself, with some of leases that have just gone, and those of one peer. */
const OWN_OBJECTS = 20;
const OBJECTS_A_LEASE = 3;
const LOOK_MS = 250;
/** A lease that has gone may stay for this time: an agent may not run meanwhile. */
const MEMORY_MS = 60_000;

const LEASES = createLeaseKeys(NETWORK_PREFIX).leases;

export class Volume {
  readonly #cluster: Cluster;
  #lookedMs = 0;
  /** The number of leases that a node may know of, at the latest looks. */
  #counts: readonly { readonly atMs: number; readonly leases: number }[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The same log of one run of a host's agent; counts what it writes. */
  metered(host: Host, log: Logger): Logger {
    let [minute, lines, bytes] = [0, 0, 0];
    const count = (level: LogLevel, component: string, message: string, fields?: LogFields): void => {
      const now = Math.floor(this.#cluster.clock.monotonicMs() / MINUTE_MS);
      if (now !== minute) [minute, lines, bytes] = [now, 0, 0];
      lines += 1;
      bytes += LOG_FORMATS.text({ time: '', level, part: component, message, fields }).length;
      if (lines > MOST_LINES || bytes > MOST_BYTES)
        this.#cluster.laws.break(
          'a log stays small',
          `${host.name} wrote ${lines} lines of ${bytes} bytes in a minute`,
        );
    };
    const meter = (inner: Logger, component: string): Logger => ({
      debug: () => undefined,
      info(message, fields) {
        count('info', component, message, fields);
        inner.info(message, fields);
      },
      warn(message, fields) {
        count('warn', component, message, fields);
        inner.warn(message, fields);
      },
      error(message, fields) {
        count('error', component, message, fields);
        inner.error(message, fields);
      },
      for: (name) => meter(inner.for(name), name),
    });
    return meter(log, 'twill');
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { clock, memory, hosts, config } = this.#cluster;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#lookedMs + LOOK_MS) return;
    this.#lookedMs = nowMs;
    const leases = memory
      .entries()
      .filter(
        ({ key }) => key.startsWith(LEASES) && isSubnet(key.slice(LEASES.length), config.subnetLength),
      ).length;
    this.#counts = [...this.#counts.filter(({ atMs }) => atMs > nowMs - MEMORY_MS), { atMs: nowMs, leases }];
    const most = OWN_OBJECTS + OBJECTS_A_LEASE * Math.max(...this.#counts.map((count) => count.leases));
    for (const host of hosts) {
      const { size } = waysOf(host.kernel);
      if (host.node !== undefined && size > most)
        this.#cluster.laws.break(
          'a kernel holds what leases name',
          `${host.name} has ${size} objects, not ${most}`,
        );
    }
  }

  /** The first host whose agent remembers what the store does not hold, in words; undefined: there is none. */
  surplus(): string | undefined {
    const { hosts, memory } = this.#cluster;
    const most = memory.entries().filter(({ key }) => key.startsWith(LEASES)).length;
    for (const { name, node } of hosts) {
      const metrics = node?.metrics() ?? [];
      // An entry that is garbled now may be a known lease, too.
      for (const kind of ['leases', 'malformed_entries'] as const) {
        const held = valueOf(metrics, `twill_${kind}`) ?? 0;
        if (held > most) return `${name} remembers ${held} ${kind}, and the store holds ${most} entries`;
      }
    }
    return undefined;
  }
}

function isSubnet(key: string, length: number): boolean {
  return parseSubnetKey(key)?.ipv4?.length === length;
}
