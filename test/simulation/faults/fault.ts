// A fault: the world changes the cluster, at once or for a while. To add one, write a function that takes its random
// numbers from `cluster.random` and its time from `cluster.clock`, and put it into the list of its file.
import type { Cluster } from '../cluster.ts';
import type { Host } from '../host.ts';

export interface Fault {
  readonly name: string;
  /** Strikes now. A lasting fault ends by itself, or when `healed` is aborted; then the world is well again. */
  readonly strike: (cluster: Cluster, healed: AbortSignal) => void | Promise<void>;
}

/** A fault of one random host that is present. */
export function onHost(
  name: string,
  strike: (host: Host, cluster: Cluster, healed: AbortSignal) => void | Promise<void>,
): Fault {
  return {
    name,
    strike: (cluster, healed) => {
      const host = cluster.pick(cluster.present());
      cluster.trace.note('fault', `${name}: ${host.name}`);
      return strike(host, cluster, healed);
    },
  };
}

/** A fault of the whole cluster. */
export function onAll(name: string, strike: Fault['strike']): Fault {
  return {
    name,
    strike: (cluster, healed) => {
      cluster.trace.note('fault', name);
      return strike(cluster, healed);
    },
  };
}

/** Waits for at most `mostMs`, mostly much less, or until the world is well again. */
export async function aWhile(cluster: Cluster, mostMs: number, healed: AbortSignal): Promise<void> {
  await cluster.clock.sleep(cluster.random() ** 2 * mostMs, healed).catch(() => undefined);
}
