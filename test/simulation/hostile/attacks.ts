// The attacks of a hostile writer. To add one, write a function that takes its chance and its keys from the writer, and
// put it into the list.
import { type Prefix } from '../../../agent/model/ip.ts';
import { formatSubnetKey } from '../../../agent/model/lease.ts';
import {
  anyFields,
  anyNode,
  type Fields,
  largeValue,
  mutate,
  noLease,
  oddKey,
  oddValue,
  otherAnnouncement,
  otherLength,
} from './junk.ts';
import type { HostileWriter, Victim } from './writer.ts';

export interface Attack {
  readonly name: string;
  readonly strike: (writer: HostileWriter) => Promise<void>;
}

const FLOOD = { writes: 30, pauseMs: 30 };
const MANY = { least: 30, most: 150 };
const CONFIG_MS = 4_000;
const MOST_LARGE_VALUES = 2;
/** Each takes a processor a tenth of a second. */
const MOST_CROWDS = 1;
/** Nothing outside of the network is a peer's: the underlay, the datastore, container bridges, everything. */
const OUTSIDE = [
  '192.168.77.0-24',
  '192.168.77.1-32',
  '192.168.77.64-26',
  '172.17.0.0-16',
  '0.0.0.0-0',
  '10.6.1.0-24',
];
const NO_CONFIGS = [
  '',
  '{',
  'null',
  '[]',
  '{}',
  '{"Network":7}',
  '{"Network":"10.5.0.0/33"}',
  '{"Network":"::/0"}',
];

export const ATTACKS: readonly Attack[] = [
  attack('an odd key', (writer) => put(writer, oddKey(writer.chance, someSubnet(writer)), someValue(writer))),
  attack('an odd value', (writer) => put(writer, keyOf(writer.anySubnet()), oddValue(writer.chance))),
  attack('a large value', async (writer) => {
    // Every node parses it, and each listing holds it again.
    if (writer.largeValues++ < MOST_LARGE_VALUES)
      await put(writer, keyOf(writer.anySubnet()), largeValue(writer.chance));
  }),
  attack('a mutated entry', async (writer) => {
    const { chance } = writer;
    const key = chance.is(0.5) ? keyOf(someSubnet(writer)) : keyOf(writer.anySubnet());
    await put(writer, chance.is(0.5) ? mutate(chance, key) : key, mutate(chance, someValue(writer)));
  }),
  attack("a copy of a peer's lease", (writer) => put(writer, keyOf(writer.anySubnet()), copyValue(writer))),
  attack("another length over a peer's subnet", (writer) =>
    put(writer, otherLength(writer.chance, someSubnet(writer)), someValue(writer)),
  ),
  attack("two families over a peer's subnet", (writer) =>
    put(writer, bothFamilies(writer, someSubnet(writer)), someValue(writer)),
  ),
  attack('a lease over what is not the network', (writer) =>
    put(writer, writer.chance.pick(OUTSIDE), someValue(writer)),
  ),
  attack("a lease at a node's address", (writer) =>
    aboutVictim(writer, (victim) => {
      const fields = { ...anyFields(writer.chance, writer.cluster.config), PublicIP: victim.host.address };
      return put(writer, keyOf(writer.anySubnet()), JSON.stringify(fields));
    }),
  ),
  attack('a flood of questions', (writer) =>
    aboutVictim(writer, (victim) =>
      flood(writer, () => {
        const asked = { ...fieldsOf(victim), Asked: anyNode(writer.chance) };
        return writer.rewrite(victim, JSON.stringify(asked));
      }),
    ),
  ),
  attack("a node's key with its own value, again and again", (writer) =>
    aboutVictim(writer, (victim) => flood(writer, () => writer.rewrite(victim, dressed(writer, victim)))),
  ),
  attack("a node's key with junk, again and again", (writer) =>
    aboutVictim(writer, (victim) => flood(writer, () => writer.rewrite(victim, noLease(writer.chance)))),
  ),
  attack("a node's key with junk, once", (writer) =>
    aboutVictim(writer, (victim) => writer.rewrite(victim, noLease(writer.chance))),
  ),
  attack("a node's key with another announcement, and at once a lease with what it had", (writer) =>
    aboutVictim(writer, async (victim) => {
      const { chance, cluster } = writer;
      const theirs = fieldsOf(victim);
      cluster.laws.traffic.overwritten(victim.host);
      await writer.rewrite(victim, JSON.stringify({ ...theirs, ...otherAnnouncement(chance) }));
      if (chance.is(0.3)) await cluster.clock.sleep(chance.number() * FLOOD.pauseMs);
      const { BackendType, BackendData = null } = theirs;
      const rival = { ...anyFields(chance, cluster.config), BackendType: BackendType ?? null };
      const { ipv4: subnet = writer.anySubnet() } = victim.lease.subnets;
      if (chance.is(0.5)) await put(writer, bothFamilies(writer, subnet), JSON.stringify(rival));
      else await put(writer, keyOf(writer.anySubnet()), JSON.stringify({ ...rival, BackendData }));
    }),
  ),
  attack('a lease of a node that fits no more, bound to the session of others', (writer) =>
    aboutVictim(writer, (victim) => {
      const key = writer.chance.pick([
        '10.5.0.0-24',
        otherLength(writer.chance, someSubnet(writer)),
        '10.6.3.0-24',
      ]);
      return put(writer, key, JSON.stringify(fieldsOf(victim)), writer.foreignSession);
    }),
  ),
  attack('another lease of a node, bound to the session of others', (writer) =>
    aboutVictim(writer, (victim) =>
      put(writer, keyOf(writer.anySubnet()), JSON.stringify(fieldsOf(victim)), writer.foreignSession),
    ),
  ),
  attack('leases of a node as flannel writes them', (writer) =>
    aboutVictim(writer, async (victim) => {
      const { Node: _, ...fields } = fieldsOf(victim);
      for (let n = 0; n < 5; n++) await put(writer, keyOf(writer.anySubnet()), JSON.stringify(fields));
    }),
  ),
  attack('many leases at once', async (writer) => {
    const { chance } = writer;
    if (writer.crowds++ >= MOST_CROWDS) return;
    const values = [someValue, copyValue, () => oddValue(chance)] as const;
    const value = chance.pick(values);
    for (let n = MANY.least + chance.upTo(MANY.most - MANY.least); n > 0; n--) {
      const key = chance.is(0.8) ? keyOf(writer.anySubnet()) : otherLength(chance, someSubnet(writer));
      await put(writer, key, value(writer));
    }
  }),
  attack('keys that come and go', (writer) =>
    flood(writer, async () => {
      const { chance } = writer;
      const key = chance.is(0.7)
        ? `${oddKey(chance, someSubnet(writer))}${chance.upTo(1_000)}`
        : keyOf(writer.anySubnet());
      await put(writer, key, someValue(writer));
      await writer.delete(key);
    }),
  ),
  attack('a lease that changes all the time', async (writer) => {
    const key = keyOf(writer.anySubnet());
    await flood(writer, () => put(writer, key, copyValue(writer)));
  }),
  attack('the network configuration is junk for a while', async (writer) => {
    const { chance, cluster } = writer;
    const text = chance.is(0.2)
      ? undefined
      : chance.pick([...NO_CONFIGS, mutate(chance, '{'), 'x'.repeat(60_000)]);
    await writer.configure(text);
    await cluster.clock.sleep(chance.number() * CONFIG_MS);
    await writer.configure(cluster.configText);
  }),
];

function attack(name: string, strike: Attack['strike']): Attack {
  return { name, strike };
}

async function put(writer: HostileWriter, key: string, value: string, session?: string): Promise<void> {
  await writer.put(key, value, session);
}

async function aboutVictim(writer: HostileWriter, work: (victim: Victim) => Promise<void>): Promise<void> {
  const victims = writer.victims();
  if (victims.length > 0) await work(writer.chance.pick(victims));
}

async function flood({ chance, cluster }: HostileWriter, write: () => Promise<void>): Promise<void> {
  for (let n = chance.upTo(FLOOD.writes); n > 0; n--) {
    await write();
    await cluster.clock.sleep(chance.number() * FLOOD.pauseMs);
  }
}

/** A node's subnet, or any other where no node has one. */
function someSubnet(writer: HostileWriter): Prefix {
  const victims = writer.victims();
  const own = victims.length === 0 ? undefined : writer.chance.pick(victims).lease.subnets.ipv4;
  return own ?? writer.anySubnet();
}

/** The value of a lease: of nobody, or partly of a node. */
function someValue(writer: HostileWriter): string {
  const { chance, cluster } = writer;
  return chance.is(0.5) ? copyValue(writer) : JSON.stringify(anyFields(chance, cluster.config));
}

/** A lease with some facts of a node. */
function copyValue(writer: HostileWriter): string {
  const { chance, cluster } = writer;
  const fields = anyFields(chance, cluster.config);
  const victims = writer.victims();
  if (victims.length === 0) return JSON.stringify(fields);
  const victim = chance.pick(victims);
  const theirs = fieldsOf(victim);
  const copy: Record<string, Fields[string]> = { ...fields, BackendType: victim.lease.attrs.backendType };
  for (const name of ['PublicIP', 'BackendData', 'Node']) {
    const value = theirs[name];
    if (value !== undefined && chance.is(0.6)) copy[name] = value;
  }
  const text = JSON.stringify(copy);
  return chance.is(0.2) ? text.replaceAll(/"\w+":/g, (name) => name.toLowerCase()) : text;
}

function fieldsOf({ value }: Victim): Fields {
  return JSON.parse(value) as Fields;
}

/** The same lease in another form. */
function dressed({ chance }: HostileWriter, victim: Victim): string {
  const fields = fieldsOf(victim);
  return chance.pick([
    () => victim.value,
    () => JSON.stringify(fields, undefined, 2),
    () => JSON.stringify(Object.fromEntries(Object.entries(fields).reverse())),
    () => JSON.stringify({ ...fields, More: 'x'.repeat(chance.upTo(5_000)) }),
    () => JSON.stringify({ ...fields, toString: null, constructor: {} }),
  ])();
}

/** A key of this subnet and one of IPv6. */
function bothFamilies({ chance }: HostileWriter, subnet: Prefix): string {
  return `${keyOf(subnet)}&fd00:5:22:${chance.upTo(9)}::-64`;
}

function keyOf(subnet: Prefix): string {
  return formatSubnetKey({ ipv4: subnet });
}
