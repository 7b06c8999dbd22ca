// Faults of the store, of the network paths to it, and of its data.
import type { KvEntry } from '../../../agent/model/kv.ts';
import { formatLeaseValue } from '../../../agent/model/lease.ts';
import { subnetAt, subnetCount } from '../../../agent/model/network-config.ts';
import { leaseAttrs } from '../../support/build.ts';
import type { Cluster } from '../cluster.ts';
import { type Host, NETWORK_PREFIX } from '../host.ts';
import { aWhile, type Fault, onAll, onHost } from './fault.ts';

const LEASES = `${NETWORK_PREFIX}/subnets/`;
const OUTAGE_MS = 90_000;
/** Time from the end of a server to the start of the next one. */
const RESTART_MS = 5_000;

const GARBAGE_KEYS = ['', 'x', '10.5.1.0', '10.5.1.0-33', '10.5.1.1-24', '10.5.1.0-24&', '10.5.1.0-24/x'];
const GARBAGE_VALUES = ['', '{', 'null', '[]', '{"PublicIP":7}', '{"PublicIP":"::1"}', '\u0000\u001b[2J'];
/** Subnets outside of every network; the last one would cover a host's underlay. */
const OUTSIDE = ['172.17.0.0-16', '0.0.0.0-0', '192.168.77.0-24'];

export const STORE_FAULTS: readonly Fault[] = [
  onAll('the store is out', async (cluster, healed) => {
    const state = cluster.random() < 0.5 ? 'refused' : 'silent';
    for (const { way } of cluster.hosts) cut(way, state, cluster.random() < 0.5);
    await aWhile(cluster, OUTAGE_MS, healed);
    for (const { way } of cluster.hosts) way.state = 'open';
  }),
  onHost('cut off from the store', async ({ way }, cluster, healed) => {
    cut(way, cluster.random() < 0.5 ? 'refused' : 'silent', cluster.random() < 0.5);
    await aWhile(cluster, OUTAGE_MS, healed);
    way.state = 'open';
  }),
  onHost('the watch breaks', ({ way }) => breakWatches(way)),
  onAll('history is compacted', (cluster) => {
    cluster.memory.compact();
    for (const { way } of cluster.hosts) if (cluster.random() < 0.5) breakWatches(way);
  }),
  onHost('its lease is deleted', (host, cluster) =>
    withLease(host, cluster, async (entry) => {
      await cluster.admin.delete(entry);
    }),
  ),
  onHost('its session ends', (host, cluster) =>
    withLease(host, cluster, async ({ session }) => {
      if (session !== undefined) await cluster.admin.closeSession(session);
    }),
  ),
  onHost('its lease becomes a reservation', (host, cluster) =>
    withLease(host, cluster, async (entry) => put(cluster, entry.key, entry.value ?? '')),
  ),
  onHost('its lease is overwritten by a stranger', (host, cluster) =>
    withLease(host, cluster, async (entry) => put(cluster, entry.key, strangersValue(cluster))),
  ),
  onHost('a stranger takes its subnet', (host, cluster) =>
    withLease(host, cluster, async (entry) => {
      await cluster.admin.delete(entry);
      await put(cluster, entry.key, strangersValue(cluster));
    }),
  ),
  onHost('its lease is overwritten by garbage', (host, cluster) =>
    withLease(host, cluster, async (entry) => put(cluster, entry.key, cluster.pick(GARBAGE_VALUES))),
  ),
  onAll('a stranger has a lease for a while', async (cluster) => {
    const session = await cluster.admin.openSession(1 + Math.floor(cluster.random() * 60));
    await cluster.admin.create(LEASES + freeKey(cluster), strangersValue(cluster), session);
  }),
  onAll('garbage under subnets', (cluster) =>
    put(cluster, LEASES + cluster.pick(GARBAGE_KEYS), cluster.pick(GARBAGE_VALUES)),
  ),
  onAll('a lease outside of the network', (cluster) =>
    put(cluster, LEASES + cluster.pick(OUTSIDE), strangersValue(cluster)),
  ),
  onAll('garbage where a subnet is free', (cluster) =>
    put(cluster, LEASES + freeKey(cluster), cluster.pick(GARBAGE_VALUES)),
  ),
  onAll('all leases are deleted', async (cluster) => {
    for (const entry of entriesUnder(cluster, LEASES)) await cluster.admin.delete(entry);
  }),
  onAll('the store is emptied, and the configuration written again', async (cluster, healed) => {
    for (const entry of entriesUnder(cluster, NETWORK_PREFIX)) await cluster.admin.delete(entry);
    await aWhile(cluster, 20_000, healed);
    await cluster.admin.create(`${NETWORK_PREFIX}/config`, cluster.configText, undefined);
  }),
  onAll('the store loses its data, and the configuration is written again', async (cluster, healed) => {
    // The server counts its restarts. The hosts' ways stay as they are, because other faults open those. Restarts may
    // overlap with each other and with an outage, and hosts may join meanwhile. No connection has seen both stores.
    const { server } = cluster;
    server.restarts += 1;
    server.ends += 1;
    for (const { way } of cluster.hosts) breakWatches(way);
    await cluster.clock.sleep(RESTART_MS);
    cluster.memory.wipe();
    for (const { witness } of cluster.hosts) witness?.countAnew();
    server.restarts -= 1;
    await aWhile(cluster, 20_000, healed);
    await cluster.admin.create(`${NETWORK_PREFIX}/config`, cluster.configText, undefined);
  }),
];

/** Removes garbage in the place of leases. No node would remove it. */
export async function removeGarbage(cluster: Cluster): Promise<void> {
  for (const entry of entriesUnder(cluster, LEASES))
    if (GARBAGE_VALUES.includes(entry.value ?? '')) await cluster.admin.delete(entry);
  await cluster.admin.create(`${NETWORK_PREFIX}/config`, cluster.configText, undefined);
}

function cut(way: Host['way'], state: 'refused' | 'silent', breaks: boolean): void {
  way.state = state;
  if (breaks) breakWatches(way);
}

function breakWatches({ breakers }: Host['way']): void {
  for (const breakIt of breakers) breakIt();
}

function entriesUnder(cluster: Cluster, prefix: string): readonly KvEntry[] {
  return cluster.memory.entries().filter(({ key }) => key.startsWith(prefix));
}

async function withLease(
  host: Host,
  cluster: Cluster,
  work: (entry: KvEntry) => Promise<void>,
): Promise<void> {
  const entry = entriesUnder(cluster, LEASES).find((found) => cluster.laws.ownerOf(found) === host);
  if (entry !== undefined) await work(entry);
}

/** Writes like `etcdctl put`: over any value, and without a session. */
async function put({ admin, memory }: Cluster, key: string, value: string): Promise<void> {
  const entry = memory.entries().find((found) => found.key === key);
  if (entry === undefined) await admin.create(key, value, undefined);
  else await admin.update({ ...entry, session: undefined }, value);
}

function freeKey({ config, random, memory }: Cluster): string {
  const subnet = subnetAt(config, Math.floor(random() * subnetCount(config)));
  const key = `${subnet.address}-${subnet.length}`;
  return memory.entries().some((entry) => entry.key === LEASES + key) ? 'taken' : key;
}

/** The lease value of a node outside of the cluster, written by flannel or by this agent. */
function strangersValue({ config, random }: Cluster): string {
  const n = 200 + Math.floor(random() * 50);
  const attrs = leaseAttrs(`192.168.77.${n}`, {
    backendType: random() < 0.8 ? config.backend.type : 'udp',
    data: { VNI: 1, VtepMAC: `02:00:00:00:00:${n.toString(16)}` },
    node:
      random() < 0.5 ? undefined : { id: n.toString(16).padStart(16, 'f'), mac: undefined, name: 'stranger' },
  });
  return formatLeaseValue(attrs);
}
