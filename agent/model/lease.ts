// A lease: which node owns which subnet, and how its peers reach it. The text forms are flannel's, to the
// byte. Our extra fields (`Node`, `Asked`) are ones that flannel ignores, and unknown fields are kept.
import { type JsonValue, parseJson, withKnownNames } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import {
  type Family,
  formatPrefix,
  networkOf,
  type PerFamily,
  type Prefix,
  parseAddress,
  parsePrefix,
} from './ip.ts';

/** The identity of a node, independent of its addresses. */
export interface NodeIdentity {
  /** 16 hexadecimal digits made from the machine's ids; those cannot be computed from it. */
  readonly id: string;
  /**
   * The MAC of the underlay link. It tells clones of one machine image apart. Undefined: the link has none, or an older
   * version wrote the lease.
   */
  readonly mac: string | undefined;
  /** The host name, for people. */
  readonly name: string;
}

/** The announcement of a node to its peers. */
export interface LeaseAttrs {
  /** The address that peers send overlay traffic to. */
  readonly publicIP: PerFamily<string>;
  /** `udp` where the datastore names none. */
  readonly backendType: string;
  /** Facts for the backend's peers, in the backend's own form. */
  readonly backendData: PerFamily<JsonValue>;
  /** Undefined where the lease was written by flannel. */
  readonly node: NodeIdentity | undefined;
  /** Fields that we do not know, kept as read. */
  readonly extra: Readonly<Record<string, JsonValue>>;
}

/** Subnets and their owner, as read from the datastore. */
export interface Lease {
  /**
   * Identifies the lease: its subnets as flannel's keys name them, see `formatSubnetKey`. On Kubernetes the name of the
   * Node, because two Nodes may have one subnet.
   */
  readonly key: string;
  /** One subnet a family; a lease of the key-value stores always has an IPv4 subnet. */
  readonly subnets: PerFamily<Prefix>;
  readonly attrs: LeaseAttrs;
  /** Grows with every write of this lease; the datastore's token for "only if unchanged". */
  readonly revision: number;
  /**
   * Its age: the revision of the datastore at which the lease was created; on Kubernetes the time in milliseconds at
   * which the Node was. Later writes leave it as it is.
   */
  readonly created: number;
  /**
   * The datastore's token for keeping the lease alive; undefined for a reservation, which never expires. On Kubernetes
   * the uid of the Node: another one is another Node of that name.
   */
  readonly session: string | undefined;
  /** The node that asks whether the holder is alive; undefined: nobody asks. A holder writes its lease without it. */
  readonly asked: NodeIdentity | undefined;
}

/** The subnets as a key: `10.5.34.0-24`, or `10.5.34.0-24&fd00:5:22::-64` for dual stack. */
export function formatSubnetKey(subnets: PerFamily<Prefix>): string {
  return [subnets.ipv4, subnets.ipv6]
    .flatMap((prefix) => (prefix === undefined ? [] : `${prefix.address}-${prefix.length}`))
    .join('&');
}

/** The subnets as text for people: `10.5.34.0/24`, two of them with a comma between. */
export function formatSubnets(subnets: PerFamily<Prefix>): string {
  return [subnets.ipv4, subnets.ipv6]
    .flatMap((prefix) => (prefix === undefined ? [] : formatPrefix(prefix)))
    .join(', ');
}

/** The name of the node that has a lease, for people; undefined: flannel wrote the lease into a key-value store. */
export function leaseName({ key, attrs }: Pick<Lease, 'key' | 'attrs'>): string | undefined {
  return attrs.node?.name ?? (parseSubnetKey(key) === undefined ? key : undefined);
}

/** The subnets that a key names; undefined when it is not exactly of flannel's form or has host bits set. */
export function parseSubnetKey(key: string): PerFamily<Prefix> | undefined {
  const [first = '', second] = key.split('&');
  const part = (text: string): Prefix | undefined => {
    const prefix = parsePrefix(text.replace('-', '/'));
    return prefix !== undefined && networkOf(prefix).address === prefix.address ? prefix : undefined;
  };
  const [subnet, subnet6] = [part(first), second === undefined ? undefined : part(second)];
  if (subnet?.family !== 'ipv4' || (second !== undefined && subnet6?.family !== 'ipv6')) return undefined;
  const subnets = perFamily(subnet, subnet6);
  // One subnet has one key: 10.5.34.0-024 would name a subnet that another key names too.
  return formatSubnetKey(subnets) === key ? subnets : undefined;
}

const address = (family: Family, name: string) =>
  v.pipe(
    v.string('must be a string'),
    v.check((text) => parseAddress(text)?.family === family, `must be an ${name} address`),
    v.transform((text) => parseAddress(text)?.address ?? text),
  );

// A `Node` of another form is a foreign field: it is ignored, not fatal. So is a MAC alone.
const identity = v.fallback(
  v.optional(
    v.object({
      ID: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
      MAC: v.fallback(v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/))), undefined),
      Name: v.pipe(v.string(), v.maxLength(253)),
    }),
  ),
  undefined,
);

const json = v.custom<JsonValue>((value) => value !== undefined);

const fields = {
  PublicIP: address('ipv4', 'IPv4'),
  PublicIPv6: v.nullish(address('ipv6', 'IPv6')),
  BackendType: v.optional(v.string('must be a string'), 'udp'),
  BackendData: v.optional(json),
  BackendV6Data: v.optional(json),
  Node: identity,
  Asked: identity,
};

// The message of an object is also that of a missing field; only PublicIP has to be there.
const leaseValue = v.pipe(
  v.unknown(),
  v.transform((value) => withKnownNames(value, Object.keys(fields))),
  v.objectWithRest(fields, json, (issue) =>
    issue.expected === 'Object' ? 'must be a JSON object' : 'must be an IPv4 address',
  ),
);

/** Parses a lease value. Fails as `datastore` with one line that starts with `where`. */
export function parseLeaseValue(text: string, where: string): Pick<Lease, 'attrs' | 'asked'> {
  const value = parseJson(leaseValue, text, where, 'datastore');
  const { PublicIP, PublicIPv6, BackendType, BackendData, BackendV6Data, Node, Asked, ...extra } = value;
  const attrs = {
    publicIP: perFamily(PublicIP, PublicIPv6 ?? undefined),
    backendType: BackendType === '' ? 'udp' : BackendType,
    backendData: perFamily(BackendData ?? undefined, BackendV6Data ?? undefined),
    node: parseNode(Node),
    extra: Object.keys(extra).length === 0 ? NONE : (extra as Readonly<Record<string, JsonValue>>),
  };
  return { attrs, asked: parseNode(Asked) };
}

type IdentityFields = v.InferOutput<typeof identity>;

function parseNode(fields: IdentityFields): NodeIdentity | undefined {
  return fields && { id: fields.ID, mac: fields.MAC, name: fields.Name };
}

// Shared by all leases, of which there are thousands.
const NONE = {};

function perFamily<T>(ipv4: T | undefined, ipv6: T | undefined): PerFamily<T> {
  if (ipv6 === undefined) return ipv4 === undefined ? NONE : { ipv4 };
  return ipv4 === undefined ? { ipv6 } : { ipv4, ipv6 };
}

/**
 * The lease value as flannel writes it, fields in flannel's order, ours and unknown ones after them. `asked`: the node
 * that asks whether the holder is alive.
 */
export function formatLeaseValue(attrs: LeaseAttrs, asked?: NodeIdentity): string {
  return JSON.stringify({
    PublicIP: attrs.publicIP.ipv4,
    PublicIPv6: attrs.publicIP.ipv6 ?? null,
    BackendType: attrs.backendType,
    BackendData: attrs.backendData.ipv4,
    BackendV6Data: attrs.backendData.ipv6,
    Node: formatNode(attrs.node),
    Asked: formatNode(asked),
    ...attrs.extra,
  });
}

function formatNode(node: NodeIdentity | undefined): IdentityFields {
  return node && { ID: node.id, MAC: node.mac, Name: node.name };
}

/** The order of leases by their age, the oldest first. */
export function byAge(a: Pick<Lease, 'created' | 'key'>, b: Pick<Lease, 'created' | 'key'>): number {
  return a.created - b.created || (a.key < b.key ? -1 : 1);
}
