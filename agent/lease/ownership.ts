// Whose lease an entry of the store is, as far as its identity and its address tell. Pure.
import type { Lease } from '../model/lease.ts';
import type { OwnAttrs } from '../model/lease-holder.ts';

/** The part of a node's attributes that a lease is recognised by. */
export type Self = Pick<OwnAttrs, 'publicIP' | 'node'>;

/**
 * The relation of a lease to this node; undefined: it is another node's.
 *
 * - `ours`: at our public address, written by this node, or by flannel, which writes no identity
 * - `moved`: written by our identity at another address. Either this host had that address before, or a clone of it,
 *   with the same machine id and name, has it now
 * - `renamed`: at our address, written by another identity. Either this host had that identity before it was installed
 *   anew, or another host has the same address by mistake
 */
export function ownership(
  { attrs: { publicIP, node } }: Lease,
  self: Self,
): 'ours' | 'moved' | 'renamed' | undefined {
  const isSame = node?.id === self.node.id && node.name === self.node.name;
  if (publicIP.ipv4 !== self.publicIP.ipv4) return isSame ? 'moved' : undefined;
  return node === undefined || isSame ? 'ours' : 'renamed';
}

/** Whether this run wrote a lease, at whatever address: it has the session of the lease that was held `last`. */
export function isFromUs({ session, attrs }: Lease, self: Self, last: Lease | undefined): boolean {
  return session !== undefined && session === last?.session && attrs.node?.id === self.node.id;
}
