// Remembers which lease had a thing before all others of this run, while others claim that thing. What a lease had
// before somebody wrote over it is *owed* to it: that is remembered for as long as its key stays. Pure.
import { LIMITS } from './limits.ts';

export interface Firsts {
  /** The key of the first lease that had a thing; undefined: none is remembered. */
  of(thing: string): string | undefined;
  /** Takes in that a lease has a thing. */
  note(thing: string, key: string): void;
  /** Takes in that a lease had these things: those of which it is the first are owed to it. The earliest are kept. */
  owe(key: string, things: readonly string[]): void;
  /** Takes in that a key is gone. Gives the things that were owed to it. */
  end(key: string): Iterable<string>;
  /** Forgets the first of a thing that nobody contests, unless it is owed. */
  forget(thing: string): void;
  /** The keys to which things are owed. */
  creditors(): Iterable<string>;
}

export function createFirsts(): Firsts {
  const firsts = new Map<string, string>();
  const owed = new Map<string, Set<string>>();
  const note = (thing: string, key: string): void => {
    if (!firsts.has(thing)) firsts.set(thing, key);
  };
  return {
    of: (thing) => firsts.get(thing),
    note,
    owe(key, things) {
      const kept = owed.get(key) ?? new Set();
      owed.set(key, kept);
      for (const thing of things) {
        if (kept.size >= LIMITS.owedThings) return;
        note(thing, key);
        if (firsts.get(thing) === key) kept.add(thing);
      }
    },
    end(key) {
      const things = owed.get(key) ?? [];
      owed.delete(key);
      return things;
    },
    forget(thing) {
      const first = firsts.get(thing);
      if (first !== undefined && !owed.get(first)?.has(thing)) firsts.delete(thing);
    },
    creditors: () => owed.keys(),
  };
}
