// Builders of the values that most tests need. Each takes the values that a test is about, and fills in the rest.
import type { JsonValue } from '../../agent/base/schema.ts';
import type { HostFacts, OnLinkPrefix, UnderlayEnd, UnderlayLink } from '../../agent/model/host-facts.ts';
import { type Prefix, parsePrefix } from '../../agent/model/ip.ts';
import { formatSubnetKey, type Lease, type LeaseAttrs } from '../../agent/model/lease.ts';

/** Parses a prefix; throws if the text is none. */
export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`);
  return parsed;
}

/** The network 10.5.0.0/16 with a /24 for each node. */
export const OVERLAYS = { ipv4: { network: prefix('10.5.0.0/16'), subnetLength: 24 } };

interface FactChanges extends Partial<UnderlayLink & Omit<UnderlayEnd, 'onLink'>> {
  /** `192.168.77.0/24`, or `10.1.0.0/31 eth1` where it is another link's. */
  readonly onLink?: readonly string[];
  readonly nodeId?: string;
}

/** This node: 192.168.77.1 on eth0, in 192.168.77.0/24. */
export function hostFacts(changes: FactChanges = {}): HostFacts {
  const { nodeId = '00000000000000aa', onLink = ['192.168.77.0/24'], address = '192.168.77.1' } = changes;
  const {
    publicIP = address,
    name = 'eth0',
    mtuBytes = 1500,
    hasCarrier = true,
    carriesPackets = true,
    knownMac,
  } = changes;
  return {
    node: { id: nodeId, mac: '02:00:00:00:00:01', name: 'h1' },
    why: 'the default route',
    underlay: { name, carriesPackets, mtuBytes, hasCarrier },
    ends: { ipv4: { address, publicIP, knownMac, onLink: onLink.map(onLinkPrefix) } },
  };

  function onLinkPrefix(text: string): OnLinkPrefix {
    const [network = '', dev = name] = text.split(' ');
    return { ...prefix(network), dev };
  }
}

/** This node on a host that speaks BGP: its address is on lo, and each link leads to one other host. */
export function bgpFacts(): HostFacts {
  return hostFacts({
    name: 'lo',
    carriesPackets: false,
    address: '10.99.0.1',
    onLink: ['192.168.77.0/24 eth0', '192.168.78.0/24 eth1'],
  });
}

/** Attributes of a node at this address, as flannel writes them; `more` adds to them. */
export function leaseAttrs(
  publicIP: string,
  more: Partial<Omit<LeaseAttrs, 'publicIP' | 'backendData'>> & { readonly data?: JsonValue } = {},
): LeaseAttrs {
  const { data, ...rest } = more;
  return {
    publicIP: { ipv4: publicIP },
    backendType: 'host-gw',
    backendData: data === undefined ? {} : { ipv4: data },
    node: undefined,
    extra: {},
    ...rest,
  };
}

/** The lease of one subnet, such as `10.5.2.0/24`. */
export function lease(subnet: string, attrs: LeaseAttrs, more: Partial<Lease> = {}): Lease {
  const subnets = { ipv4: prefix(subnet) };
  return {
    key: formatSubnetKey(subnets),
    subnets,
    attrs,
    revision: 1,
    created: 1,
    session: '1',
    asked: undefined,
    ...more,
  };
}
