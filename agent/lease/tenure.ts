// This node's tenure of its lease: one value, changed by events of the lease source and by answers of the store. Pure.
//
//     none ──┐                                          ┌── key deleted, or session ended ──▶ lost
//     lost ──┼── claim ──▶ claiming ── granted ──▶ held ┤
//     taken ─┘                │                    ▲  │ └── another node has the key ───────▶ taken
//                             │                    └──┘ checked: renewed, answered, or written again
//                             └── refused ──▶ the state before
//
//     lost ── another node has the key ──▶ taken
//
// The subnets of a lost lease stay in use: a store that lost its data cuts nobody off. Those of a taken one do not.
import type { PerFamily, Prefix } from '../model/ip.ts';
import type { Lease, NodeIdentity } from '../model/lease.ts';
import type { OwnAttrs } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import type { HeldLease } from '../model/lease-store.ts';
import { isOwn } from '../model/ownership.ts';

/** An event of one lease. */
type LeaseEvent = Extract<StoreEvent, { type: 'lease' | 'lease-removed' | 'malformed' }>;

export type Unheld =
  /** This run has held no lease yet. */
  | { readonly kind: 'none' }
  /** The lease has ended, and no other node is known to have its subnets. */
  | { readonly kind: 'lost'; readonly last: HeldLease }
  /** Another node has the subnets of the lease that was held last. `by`: its lease, where the source told it. */
  | { readonly kind: 'taken'; readonly last: HeldLease; readonly by: Lease | undefined };

/**
 * The store was asked for the lease `key`. `before` is the state where it refuses. The watch may deliver an event about
 * this lease before the store answers: the latest one is kept in `heard`.
 */
export interface Claiming {
  readonly kind: 'claiming';
  readonly key: string;
  readonly before: Unheld;
  readonly heard: LeaseEvent | undefined;
}

/**
 * The lease is ours. `written`: the attributes that we wrote last.
 *
 * `check`: a pending question to the store. `session`: the lease may have expired unnoticed. `key`: our key may have
 * another value than we wrote. `challenge`: another node asks in our key whether we are alive. Whatever demands a check
 * makes a new object, so that the answer to an earlier check does not settle it.
 */
export interface Held {
  readonly kind: 'held';
  readonly lease: HeldLease;
  readonly written: OwnAttrs;
  readonly check: 'session' | 'key' | 'challenge' | undefined;
}

export type Tenure = Unheld | Claiming | Held;

/** The tenure after an event; the same object where the event changes nothing. `self`: our announcement. */
export function onEvent(now: Tenure, event: StoreEvent, self: OwnAttrs): Tenure {
  switch (now.kind) {
    case 'held':
      return whileHeld(now, event, self);
    case 'claiming': {
      const before = whileUnheld(now.before, event, self);
      const heard = eventOf(event, now.key) ?? now.heard;
      return before === now.before && heard === now.heard ? now : { ...now, before, heard };
    }
    default:
      return whileUnheld(now, event, self);
  }
}

/** The tenure after the store's answer to a claim. `granted` undefined: it was refused, or the request failed. */
export function onClaimAnswer(
  now: Tenure,
  granted: HeldLease | undefined,
  written: OwnAttrs,
  self: OwnAttrs,
): Tenure {
  if (now.kind !== 'claiming') return now;
  if (granted === undefined) return now.before;
  const held: Held = { kind: 'held', lease: granted, written, check: undefined };
  return now.heard === undefined ? held : onEvent(held, now.heard, self);
}

/**
 * The tenure after the store's answer to a check. `asked`: the tenure when the check began. `kept` undefined: the lease
 * has ended.
 */
export function onCheckAnswer(
  now: Tenure,
  asked: Held,
  kept: HeldLease | undefined,
  written: OwnAttrs,
): Tenure {
  if (now.kind !== 'held') return now;
  if (kept === undefined) return { kind: 'lost', last: now.lease };
  return { kind: 'held', lease: kept, written, check: now === asked ? undefined : now.check };
}

/** The tenure when the lease may have expired unnoticed. */
export function recheck(now: Tenure): Tenure {
  return now.kind === 'held' ? { ...now, check: now.check ?? 'session' } : now;
}

/** The tenure without the request that is under way. */
export function settled(now: Tenure): Unheld | Held {
  return now.kind === 'claiming' ? now.before : now;
}

/** The lease whose subnets this node may use now. */
export function leaseInUse(now: Tenure): HeldLease | undefined {
  return settled(now).kind === 'taken' ? undefined : lastLease(now);
}

/** The subnets that this node may use now. */
export function usable(now: Tenure): PerFamily<Prefix> | undefined {
  return leaseInUse(now)?.lease.subnets;
}

/** The lease held now, or last. */
export function lastLease(now: Tenure): HeldLease | undefined {
  const is = settled(now);
  if (is.kind === 'none') return undefined;
  return is.kind === 'held' ? is.lease : is.last;
}

function whileUnheld(now: Unheld, event: StoreEvent, self: OwnAttrs): Unheld {
  if (now.kind !== 'lost') return now;
  const { last } = now;
  const told = eventOf(event, last.lease.key);
  if (told?.type !== 'lease' || isOwn(told.lease, self, last.lease)) return now;
  return { kind: 'taken', last, by: told.lease };
}

function whileHeld(now: Held, event: StoreEvent, self: OwnAttrs): Tenure {
  const { lease } = now.lease;
  const told = eventOf(event, lease.key);
  if (told === undefined) return now;
  // A listing may be older than our last write, or of a store whose revisions began anew: no revision says which.
  const isListed = event.type === 'snapshot';
  if (told.type === 'malformed') return { ...now, check: 'key' };
  if (told.type === 'lease-removed') {
    if (isListed) return { ...now, check: 'key' };
    return told.revision > lease.revision ? { kind: 'lost', last: now.lease } : now;
  }
  const { revision, session, asked } = told.lease;
  if (!isListed && revision <= lease.revision) return now;
  if (!isOwn(told.lease, self, lease)) {
    // A listing from before our last write has the card and the address that we had then. So has that of a clone which
    // took our lease over: the store knows which one it is.
    const mayBeFormer =
      isListed && session === lease.session && told.lease.attrs.node?.id === lease.attrs.node?.id;
    return mayBeFormer ? { ...now, check: 'key' } : { kind: 'taken', last: now.lease, by: told.lease };
  }
  if (revision === lease.revision && session === lease.session) return now;
  return { ...now, check: asked === undefined ? 'key' : 'challenge' };
}

/** The node that asks in our key whether we are alive, by an event; undefined: none. */
export function challengerIn(event: StoreEvent, { lease }: HeldLease): NodeIdentity | undefined {
  const told = eventOf(event, lease.key);
  return told?.type === 'lease' ? told.lease.asked : undefined;
}

/** Whether another node's write demands a check. */
export function isByOthers({ check }: Held): boolean {
  return check === 'key' || check === 'challenge';
}

/** The part of an event that concerns the lease `key`, as an event of that lease alone; undefined: none. */
function eventOf(event: StoreEvent, key: string): LeaseEvent | undefined {
  switch (event.type) {
    case 'snapshot': {
      const lease = event.leases.find((listed) => listed.key === key);
      const entry = event.malformed.find((listed) => listed.key === key);
      if (lease !== undefined) return { type: 'lease', lease };
      if (entry !== undefined) return { type: 'malformed', entry };
      return { type: 'lease-removed', key, revision: event.revision };
    }
    case 'lease':
      return event.lease.key === key ? event : undefined;
    case 'lease-removed':
      return event.key === key ? event : undefined;
    case 'malformed':
      return event.entry.key === key ? event : undefined;
    default:
      return undefined;
  }
}
