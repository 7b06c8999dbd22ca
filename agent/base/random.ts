// The one door to randomness. Tests and simulations pass a seeded source instead.

/** A number in [0, 1). */
export type Random = () => number;

/** The machine's own source. Not for secrets. */
export const systemRandom: Random = () => Math.random();
