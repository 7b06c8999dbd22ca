// The own Node's annotations as this node reads them: addresses that an operator wrote there, and the MAC that an
// earlier run announced. Pure.
import { excerpt } from '../base/schema.ts';
import { isHostAddress, parseIPv4 } from '../model/ip.ts';
import type { Annotation } from './annotation-names.ts';
import type { Announcement } from './node-lease.ts';
import type { NodeObject } from './node-object.ts';

type AddressName = Extract<Annotation, 'node-public-ip' | 'public-ip-overwrite'>;

export interface OperatorAddress {
  /** Undefined: the Node has no such annotation, or one that is no address. */
  readonly address: string | undefined;
  /** Why the annotation has no effect, in one line. */
  readonly fault: string | undefined;
}

/** The address that an operator wrote into an annotation of the own Node. */
export function readAddress(node: Pick<NodeObject, 'annotations'>, name: AddressName): OperatorAddress {
  const text = node.annotations[name];
  if (text === undefined || text === '') return { address: undefined, fault: undefined };
  const address = parseIPv4(text);
  if (address !== undefined && isHostAddress(address)) return { address, fault: undefined };
  return {
    address: undefined,
    fault: `the annotation ${name} of this Node must be an IPv4 address that other hosts can reach, is ${excerpt(text)}: it has no effect`,
  };
}

// Neither all zeros nor the address of a group, which a device cannot have.
const DEVICE_MAC = /^(?!00:00:00:00:00:00)[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;

/** The MAC of the vxlan device that the peers know by the annotations; undefined: none. */
export function announcedMac({ annotations }: { readonly annotations: Announcement }): string | undefined {
  if (annotations['backend-type'] !== 'vxlan') return undefined;
  try {
    const data: unknown = JSON.parse(annotations['backend-data'] ?? '');
    const mac = data !== null && typeof data === 'object' && 'VtepMAC' in data ? data.VtepMAC : undefined;
    const text = typeof mac === 'string' ? mac.toLowerCase() : '';
    return DEVICE_MAC.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
