// What a Node says as a peer, in flannel's annotations, and what this node says there. The text that is written is
// flannel's to the byte, because flannel reads parts of it with patterns; text of others is read as JSON. Pure.

import { messageOf } from '../base/errors.ts';
import { excerpt, type JsonValue, parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import {
  type Family,
  formatPrefix,
  networkOf,
  type PerFamily,
  type Prefix,
  parseAddress,
  parseIPv4,
  parsePrefix,
} from '../model/ip.ts';
import type { Lease, LeaseAttrs } from '../model/lease.ts';
import type { MalformedEntry } from '../model/lease-source.ts';
import type { Annotation } from './annotation-names.ts';
import { LIMITS } from './limits.ts';
import type { NodeObject } from './node-object.ts';

/** A value for each annotation that is written. */
export type Announcement = Readonly<Partial<Record<Annotation, string>>>;

interface FamilyNames {
  readonly family: Family;
  readonly publicIP: 'public-ip' | 'public-ipv6';
  readonly overwrite: 'public-ip-overwrite' | 'public-ipv6-overwrite';
  readonly data: 'backend-data' | 'backend-v6-data';
}

const BOTH: readonly FamilyNames[] = [
  { family: 'ipv4', publicIP: 'public-ip', overwrite: 'public-ip-overwrite', data: 'backend-data' },
  { family: 'ipv6', publicIP: 'public-ipv6', overwrite: 'public-ipv6-overwrite', data: 'backend-v6-data' },
];

/** Stands for an address that is not there, on nodes of the other family alone. */
const UNSPECIFIED = new Set(['0.0.0.0', '::']);

/**
 * The lease that a Node stands for, by its name, because two Nodes may have one podCIDR. Undefined: it is no peer, or
 * not yet: it has no mark of flannel, or no podCIDR.
 */
export function readPeer(node: NodeObject): Lease | MalformedEntry | undefined {
  // Exactly this value: flannel takes the Node for no peer otherwise.
  if (node.annotations['kube-subnet-manager'] !== 'true' || node.podCidrs.length === 0) return undefined;
  try {
    const subnets = parseSubnets(node);
    return {
      key: node.name,
      subnets,
      attrs: parseAttrs(node, subnets),
      revision: Number(node.resourceVersion) || 0,
      created: node.createdMs,
      session: node.uid,
      asked: undefined,
    };
  } catch (error) {
    const where = `Node ${node.name}`;
    return { where, key: node.name, reason: `${where}: ${messageOf(error)}` };
  }
}

/** A Node that stands for a lease: `readPeer` gives that lease of it. */
export function formatPeer({ key, subnets, attrs, revision, created, session = '' }: Lease): NodeObject {
  return {
    name: key,
    uid: session,
    resourceVersion: String(revision),
    createdMs: created,
    podCidrs: Object.values(subnets).map(formatPrefix),
    annotations: formatAnnouncement(attrs),
    networkUnavailable: undefined,
  };
}

/** The subnets by a Node's podCIDRs, host bits cleared: the first one of each family. Throws where they are none. */
export function parseSubnets({ podCidrs }: Pick<NodeObject, 'podCidrs'>): PerFamily<Prefix> {
  if (podCidrs.length > 2) throw new Error(`it has more than two podCIDRs: ${podCidrs.join(', ')}`);
  const prefixes = podCidrs.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === undefined)
      throw new Error(`podCIDR must be a prefix such as 10.244.1.0/24, is ${excerpt(text)}`);
    return networkOf(prefix);
  });
  return perFamily((family) => prefixes.find((prefix) => prefix.family === family));
}

function parseAttrs({ annotations }: NodeObject, subnets: PerFamily<Prefix>): LeaseAttrs {
  for (const [name, value] of Object.entries(annotations)) {
    if (value.length > LIMITS.annotationChars)
      throw new Error(`${name} is longer than ${LIMITS.annotationChars} characters`);
  }
  const publicIP = perFamily((family, names) =>
    subnets[family] === undefined ? undefined : parsePublicIP(family, names.publicIP, annotations),
  );
  if (Object.keys(publicIP).length === 0) throw new Error('it has no public-ip of the family of its podCIDR');
  return {
    publicIP,
    backendType: annotations['backend-type'] || 'udp',
    backendData: perFamily((_, names) => parseData(names.data, annotations[names.data])),
    node: undefined,
    extra: {},
  };
}

function parsePublicIP(
  family: Family,
  name: FamilyNames['publicIP'],
  annotations: NodeObject['annotations'],
): string | undefined {
  const text = annotations[name];
  if (text === undefined || text === '' || UNSPECIFIED.has(text)) return undefined;
  const parsed = parseAddress(text);
  const address =
    family === 'ipv4' ? parseIPv4(text) : parsed?.family === family ? parsed.address : undefined;
  if (address === undefined)
    throw new Error(`${name} must be an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address, is ${excerpt(text)}`);
  return address;
}

const anyJson = v.custom<JsonValue>((value) => value !== undefined);

function parseData(name: FamilyNames['data'], text: string | undefined): JsonValue | undefined {
  // flannel's extension backend writes the empty text where it has nothing to say.
  return text === undefined || text === ''
    ? undefined
    : (parseJson(anyJson, text, name, 'datastore') ?? undefined);
}

function perFamily<T>(value: (family: Family, names: FamilyNames) => T | undefined): PerFamily<T> {
  const entries = BOTH.flatMap((names) => {
    const each = value(names.family, names);
    return each === undefined ? [] : [[names.family, each] as const];
  });
  return Object.fromEntries(entries);
}

/** Backends that write the empty text as their type, as flannel does. */
const NAMELESS = new Set(['udp', 'alloc']);

/**
 * The annotations that announce `attrs`, as flannel writes them. Of `overwrites`, the annotations of the own Node,
 * those that end in `-overwrite` take the place of the public addresses.
 */
export function formatAnnouncement(attrs: LeaseAttrs, overwrites: Announcement = {}): Announcement {
  const { backendType, backendData, publicIP } = attrs;
  const isNameless = NAMELESS.has(backendType);
  const values: Partial<Record<Annotation, string>> = {
    'kube-subnet-manager': 'true',
    'backend-type': isNameless ? '' : backendType,
  };
  for (const { family, publicIP: address, overwrite, data } of BOTH) {
    // In a network of IPv6 alone, these two write the IPv4 pair all the same.
    const isPadded = family === 'ipv4' && (backendType === 'host-gw' || backendType === 'wireguard');
    if (publicIP[family] === undefined && !isPadded) continue;
    values[data] = formatData(backendType, publicIP[family] === undefined ? undefined : backendData[family]);
    values[address] = overwrites[overwrite] || (publicIP[family] ?? '0.0.0.0');
  }
  return values;
}

// As Go does: no blanks, and the signs of HTML escaped.
function formatData(backendType: string, data: JsonValue | undefined): string {
  if (data === undefined) return backendType === 'extension' ? '' : 'null';
  return JSON.stringify(data).replaceAll(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The annotations that have to be written so that a Node has the wanted ones; undefined: none. */
export function changesOf(node: NodeObject, wanted: Announcement): Announcement | undefined {
  const changes = Object.entries(wanted).filter(
    ([name, value]) => node.annotations[name as Annotation] !== value,
  );
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}
