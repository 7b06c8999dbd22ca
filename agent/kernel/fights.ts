// Recognises programs that undo our objects again and again. A repair is made at once, so that few packets are lost.
// Only where each repair is undone within moments do the pauses before the next one grow. Pure.
import { LIMITS } from './limits.ts';

/** An object that another program undoes. */
interface Fight {
  /** How often it was undone, without a long quiet time in between. */
  count: number;
  undoneMs: number;
  /** How often in a row it was undone within moments of its repair. */
  quick: number;
  repairedMs: number;
  /** Its line after it was undone last; undefined: it was deleted. */
  changedTo: string | undefined;
  isNamed: boolean;
  /** Whether a repair had to wait since the fight began. */
  isDamped: boolean;
}

/** A fight as people are told of it. */
export interface NamedFight {
  readonly key: string;
  readonly changedTo: string | undefined;
}

export interface Fights {
  /** Counts that the object of `key` was undone. Gives the time from which it may be repaired. */
  undone(key: string, changedTo: string | undefined, nowMs: number): number;
  repaired(key: string, nowMs: number): void;
  /** Whether people were told that others undo this object. */
  isNamed(key: string): boolean;
  /** The fights that are worth a word since the last call. */
  news(): readonly NamedFight[];
  /** The named fights whose repairs had to wait. */
  damped(): readonly NamedFight[];
  /** Forgets what has been quiet for long. Gives the keys of the fights that were named. */
  expire(nowMs: number): readonly string[];
}

export function createFights(): Fights {
  const { namedAt, quickMs, quietMs } = LIMITS.fight;
  const fights = new Map<string, Fight>();
  const describe = ([key, fight]: readonly [string, Fight]): NamedFight => ({
    key,
    changedTo: fight.changedTo,
  });
  return {
    undone(key, changedTo, nowMs) {
      const fight = fights.get(key) ?? {
        count: 0,
        quick: 0,
        repairedMs: -Infinity,
        isNamed: false,
        isDamped: false,
      };
      const isQuick = nowMs - fight.repairedMs < quickMs;
      const quick = isQuick ? fight.quick + 1 : Math.floor(fight.quick / 2);
      const pauseMs = pauseOf(quick);
      const isDamped = fight.isDamped || pauseMs > 0;
      fights.set(key, { ...fight, count: fight.count + 1, undoneMs: nowMs, quick, changedTo, isDamped });
      return nowMs + pauseMs;
    },
    repaired(key, nowMs) {
      const fight = fights.get(key);
      if (fight !== undefined) fight.repairedMs = nowMs;
    },
    isNamed: (key) => fights.get(key)?.isNamed === true,
    news() {
      const fresh = [...fights].filter(([, fight]) => !fight.isNamed && fight.count >= namedAt);
      for (const [, fight] of fresh) fight.isNamed = true;
      return fresh.map(describe);
    },
    damped: () => [...fights].filter(([, fight]) => fight.isNamed && fight.isDamped).map(describe),
    expire(nowMs) {
      const over = [...fights].filter(([, { undoneMs }]) => nowMs - undoneMs > quietMs);
      for (const [key] of over) fights.delete(key);
      return over.flatMap(([key, { isNamed }]) => (isNamed ? [key] : []));
    },
  };
}

function pauseOf(quick: number): number {
  const { freely, quickMs, maxPauseMs } = LIMITS.fight;
  return quick <= freely ? 0 : Math.min(maxPauseMs, quickMs * 2 ** (quick - freely));
}
