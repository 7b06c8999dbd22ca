// Decides between leases that claim one thing: a subnet, a MAC, the key of an object. Others write leases, and may name
// what another node has. Pure; it knows nothing of backends.
//
//     who has it in this run's memory ─ else the oldest lease ──▶ admitted, with all that it claims
//                                                  every other one ──▶ left out, with all that it claims
//
// The key of a lease names its subnet, so of two leases with one subnet the older one has it, whoever came first in
// this run. A value, which names all else, may claim another's thing at any time.
//
// Claims that say the same are no conflict: one node may have two leases. A lease that is left out comes in by itself
// when the other one goes.
//
// The first lease that had a thing takes it back from whoever took it meanwhile (`firsts.ts`): somebody may have
// written over that lease for a moment.
//
// One update costs the claims of that lease and of its rivals.
import { formatObject, type HostObject } from '../model/host-state.ts';
import { byAge, type Lease } from '../model/lease.ts';
import { createFirsts } from './firsts.ts';

/** A thing that one node alone can have, and the meaning that a lease gives it. Equal meanings are no conflict. */
export interface Claim {
  /** The key of an object, or any other text. */
  readonly thing: string;
  readonly meaning: HostObject | string;
  /** Whether the key of the lease names this thing, so that the claim is as old as the key. Default: false. */
  readonly isKeyed?: boolean;
}

/** A lease with all its claims, no two of one thing. One without claims is there all the same. */
export interface Claimant {
  readonly lease: Lease;
  readonly claims: readonly Claim[];
}

/** The reason why a lease is left out. */
export type Defeat =
  /** There is no room for more. */
  | { readonly kind: 'full' }
  /** Another lease has the thing of this claim; undefined: this node itself. */
  | { readonly kind: 'beaten'; readonly claim: Claim; readonly by: Claimant | undefined };

/** All leases that claim one thing, where more than one does or did, or one is left out. */
interface Rivals {
  readonly admitted: Set<string>;
  readonly waiting: Set<string>;
}

/** A claim of a lease that enters, and the admitted leases that have the thing, with another meaning. */
interface Dispute {
  readonly claim: Claim;
  readonly has: readonly Claimant[];
  /** This node itself has it. */
  readonly isOwned: boolean;
  /** The lease that enters had it first in this run. */
  readonly isFirst: boolean;
}

export interface ContestOptions {
  /** Most leases that are admitted. */
  readonly room: number;
  /** Called when the meaning of a thing may have changed; undefined: no admitted lease claims it. */
  readonly onThing: (
    thing: string,
    now: Claim['meaning'] | undefined,
    before: Claim['meaning'] | undefined,
  ) => void;
}

export interface Contest {
  /** Takes in the things that this node itself has. The claimants are to be updated then. */
  own(claims: readonly Claim[]): void;
  /** Takes in a lease with its claims; undefined: its key is gone. */
  update(key: string, claimant: Claimant | undefined): void;
  /** The admitted lease that has a thing. */
  holder(thing: string): Lease | undefined;
  /** The admitted leases, in no order. */
  admitted(): Iterable<Lease>;
  /** The leases that are left out. */
  defeats(): Iterable<readonly [Lease, Defeat]>;
  /** The keys of all leases that claim things or have had some. */
  keys(): readonly string[];
}

export function createContest({ room, onThing }: ContestOptions): Contest {
  const claimants = new Map<string, Claimant>();
  /** One admitted lease of each thing. */
  const holders = new Map<string, Claimant>();
  const rivals = new Map<string, Rivals>();
  const firsts = createFirsts();
  /** The leases that are left out, each with the claim that is another's; undefined: there was no room. */
  const waiting = new Map<string, Claim | undefined>();
  /** Those without room. */
  const queue = new Set<string>();
  let owned: ReadonlyMap<string, Claim['meaning']> = new Map();

  const isBlocked = ({ thing, meaning }: Claim): boolean => {
    const own = owned.get(thing);
    if (own !== undefined && !isSame(own, meaning)) return true;
    const holder = holders.get(thing);
    const held = holder && meaningOf(holder, thing);
    return held !== undefined && !isSame(held, meaning);
  };

  const setHolder = (thing: string, holder: Claimant | undefined): void => {
    const before = holders.get(thing);
    if (holder === undefined) holders.delete(thing);
    else holders.set(thing, holder);
    onThing(thing, holder && meaningOf(holder, thing), before && meaningOf(before, thing));
  };

  const contested = (thing: string): Rivals => {
    let all = rivals.get(thing);
    if (all === undefined) {
      const holder = holders.get(thing)?.lease.key;
      all = { admitted: new Set(holder === undefined ? [] : [holder]), waiting: new Set() };
      rivals.set(thing, all);
      if (holder !== undefined) firsts.note(thing, holder);
    }
    return all;
  };

  const admit = (claimant: Claimant): void => {
    const { key } = claimant.lease;
    waiting.delete(key);
    queue.delete(key);
    for (const { thing } of claimant.claims) {
      const all = holders.has(thing) ? contested(thing) : rivals.get(thing);
      if (all !== undefined) {
        firsts.note(thing, key);
        all.waiting.delete(key);
        all.admitted.add(key);
      }
      if (!holders.has(thing)) setHolder(thing, claimant);
    }
  };

  const leaveOut = (claimant: Claimant, lost: Claim | undefined): void => {
    const { key } = claimant.lease;
    waiting.set(key, lost);
    if (lost === undefined) queue.add(key);
    else queue.delete(key);
    for (const { thing } of claimant.claims) contested(thing).waiting.add(key);
  };

  /** Takes its things from an admitted lease. */
  const dismiss = (claimant: Claimant, freed: Set<string>): void => {
    const { key } = claimant.lease;
    for (const { thing } of claimant.claims) {
      freed.add(thing);
      const all = rivals.get(thing);
      all?.admitted.delete(key);
      if (holders.get(thing) !== claimant) continue;
      const [next] = all?.admitted ?? [];
      setHolder(thing, next === undefined ? undefined : claimants.get(next));
    }
  };

  /** A claim that is another's. `mayEvict`: its lease takes back a thing of which it was the first. */
  const disputeOf = (claim: Claim, key: string, mayEvict: boolean): Dispute => ({
    claim,
    has: [...contested(claim.thing).admitted].flatMap((other) => claimants.get(other) ?? []),
    isOwned: owned.has(claim.thing),
    isFirst: mayEvict && firsts.of(claim.thing) === key,
  });

  /** Lets a lease in where nothing is in its way. `mayEvict`: it takes things back of which it was the first. */
  const enter = (claimant: Claimant, mayEvict: boolean, freed: Set<string>): void => {
    const { key } = claimant.lease;
    const disputes = claimant.claims.filter(isBlocked).map((claim) => disputeOf(claim, key, mayEvict));
    const lost = findLost(claimant, disputes);
    if (lost !== undefined) return leaveOut(claimant, lost);
    for (const { claim, has } of disputes) {
      for (const beaten of has) {
        if (waiting.has(beaten.lease.key)) continue;
        dismiss(beaten, freed);
        leaveOut(beaten, claimOf(beaten, claim.thing));
      }
    }
    if (claimants.size - waiting.size - (waiting.has(key) ? 0 : 1) >= room)
      return leaveOut(claimant, undefined);
    admit(claimant);
  };

  /** Ends the memory of things that nobody contests any more. */
  const forget = (things: Iterable<string>): void => {
    for (const thing of things) {
      const all = rivals.get(thing);
      if (all !== undefined) {
        if (all.waiting.size > 0 || all.admitted.size > 1) continue;
        const [last] = all.admitted;
        if (last !== undefined && last !== firsts.of(thing)) continue;
        rivals.delete(thing);
      }
      firsts.forget(thing);
    }
  };

  const promote = (freed: Set<string>): void => {
    const keys = new Set<string>();
    for (const thing of freed) for (const key of rivals.get(thing)?.waiting ?? []) keys.add(key);
    if (claimants.size - waiting.size < room) for (const key of queue) keys.add(key);
    const found = [...keys].flatMap((key) => claimants.get(key) ?? []);
    for (const claimant of found.sort((a, b) => byAge(a.lease, b.lease))) {
      enter(claimant, false, freed);
    }
  };

  return {
    own(claims) {
      owned = new Map(claims.map(({ thing, meaning }) => [thing, meaning]));
    },
    update(key, claimant) {
      const before = claimants.get(key);
      const things = before?.claims.map(({ thing }) => thing) ?? [];
      const freed = new Set<string>();
      if (before !== undefined) {
        if (!waiting.delete(key)) {
          // All of them are owed: a claim of another's thing costs a lease the rest, too.
          if (claimant !== undefined && letsGo(before, claimant)) firsts.owe(key, things);
          dismiss(before, freed);
        }
        queue.delete(key);
        for (const thing of things) rivals.get(thing)?.waiting.delete(key);
        claimants.delete(key);
      }
      if (claimant !== undefined && claimant.claims.length > 0) {
        claimants.set(key, claimant);
        enter(claimant, true, freed);
      }
      promote(freed);
      forget(freed);
      forget(things);
      if (claimant === undefined) forget(firsts.end(key));
    },
    holder: (thing) => holders.get(thing)?.lease,
    *admitted() {
      for (const [key, { lease }] of claimants) if (!waiting.has(key)) yield lease;
    },
    *defeats() {
      for (const [key, claim] of waiting) {
        const claimant = claimants.get(key);
        if (claimant === undefined) continue;
        yield [
          claimant.lease,
          claim === undefined ? { kind: 'full' } : { kind: 'beaten', claim, by: holders.get(claim.thing) },
        ];
      }
    },
    keys: () => [...new Set([...claimants.keys(), ...firsts.creditors()])],
  };
}

/** A claim that a lease has lost to others; undefined: all others give way. */
function findLost(claimant: Claimant, disputes: readonly Dispute[]): Claim | undefined {
  const younger = new Set(
    disputes.flatMap(({ claim, has }) => has.filter((other) => isElder(claimant, other, claim))),
  );
  const isWon = ({ claim, has, isOwned, isFirst }: Dispute): boolean => {
    if (isOwned) return false;
    if (has.every((other) => younger.has(other))) return true;
    return isFirst && !has.some((other) => isElder(other, claimant, claim));
  };
  return disputes.find((dispute) => !isWon(dispute))?.claim;
}

/** Whether both keys name the thing of a claim, and the first one is older. */
function isElder(a: Claimant, b: Claimant, { thing }: Claim): boolean {
  const areKeyed = [a, b].every((claimant) => claimOf(claimant, thing)?.isKeyed === true);
  return areKeyed && byAge(a.lease, b.lease) < 0;
}

/** The meaning that a lease gives to a thing; undefined: it does not claim it. */
function meaningOf(claimant: Claimant, thing: string): Claim['meaning'] | undefined {
  return claimOf(claimant, thing)?.meaning;
}

/** The claim that a lease has to a thing; undefined: none. */
export function claimOf({ claims }: Claimant, thing: string): Claim | undefined {
  return claims.find((claim) => claim.thing === thing);
}

/** Whether a lease does not claim a thing any more. */
function letsGo(before: Claimant, after: Claimant): boolean {
  return before.claims.some(({ thing }) => meaningOf(after, thing) === undefined);
}

function isSame(a: Claim['meaning'], b: Claim['meaning']): boolean {
  if (a === b) return true;
  return typeof a !== 'string' && typeof b !== 'string' && formatObject(a) === formatObject(b);
}
