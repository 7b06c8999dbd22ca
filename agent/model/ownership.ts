// Whose lease an entry of the store is, as far as its identity and its address tell. This is the only such rule, for
// the holder of a lease, its store and the node. The host name decides nothing: DHCP changes it, and clones share it.
// Pure.
import type { Lease, LeaseAttrs, NodeIdentity } from './lease.ts';

/** The part of a node's attributes that a lease is recognised by. */
export type Self = Pick<LeaseAttrs, 'publicIP' | 'node'>;

export type Ownership =
  /** At our public address, written by this machine, or by flannel, which writes no identity. */
  | 'ours'
  /**
   * At our public address, written by another identity: this machine was installed anew or has another card, or a live
   * machine has the same address by mistake.
   */
  | 'namesake'
  /** At another address, with our machine id and MAC: this machine had that address before. */
  | 'moved'
  /** At another address, with our machine id alone: a clone of this machine, or this machine on another interface. */
  | 'clone';

/**
 * The relation of a lease to a node; undefined: it is another node's. An unknown MAC, from a link without one or an
 * older version, counts as equal at the same address alone.
 */
export function ownership({ attrs: { publicIP, node } }: Lease, self: Self): Ownership | undefined {
  const isHere = publicIP.ipv4 === self.publicIP.ipv4;
  if (node === undefined) return isHere ? 'ours' : undefined;
  const isSameMachine = node.id === self.node?.id;
  const [theirs, own] = [node.mac, self.node?.mac];
  const isMacKnown = theirs !== undefined && own !== undefined;
  if (isHere) return isSameMachine && (!isMacKnown || theirs === own) ? 'ours' : 'namesake';
  if (!isSameMachine) return undefined;
  return isMacKnown && theirs === own ? 'moved' : 'clone';
}

/** Whether two identities are of one machine and one link. */
export function isSameNode(a: NodeIdentity | undefined, b: NodeIdentity | undefined): boolean {
  return a !== undefined && b !== undefined && a.id === b.id && a.mac === b.mac;
}

/**
 * Whether this run wrote a lease, at whatever address: it has the session of the lease that was held `last`, and the
 * identity of ours or of that lease. A clone may have the session too, where an older version took a lease over.
 */
export function isFromUs({ session, attrs }: Lease, self: Self, last: Lease | undefined): boolean {
  if (session === undefined || session !== last?.session) return false;
  return isSameNode(attrs.node, self.node) || isSameNode(attrs.node, last.attrs.node);
}

/**
 * Whether a lease is surely this node's, which held `last`. Until a change of our address is written, our key has the
 * former address; a reservation has no session to recognise it by.
 */
export function isOwn(lease: Lease, self: Self, last: Lease | undefined): boolean {
  if (ownership(lease, self) === 'ours' || isFromUs(lease, self, last)) return true;
  return (
    lease.key === last?.key &&
    lease.attrs.publicIP.ipv4 === last.attrs.publicIP.ipv4 &&
    isSameNode(lease.attrs.node, last.attrs.node)
  );
}
