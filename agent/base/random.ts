// The one door to chance, so that tests can put a seeded source in its place.

/** A number in [0, 1). */
export type Random = () => number;

/** The machine's own source; not for secrets. */
export const systemRandom: Random = () => Math.random();
