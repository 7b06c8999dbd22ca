// The conditions of the simulated world for a while: the delays of requests, and the share of each kind of failure.
// Each seed has its own mixture. Most mixtures have only some kinds of trouble, so that no kind hides another.
import type { Random } from '../../agent/base/random.ts';

/** Shares are of all requests of a kind, from 0 to 1. */
export interface Weather {
  /** The longest delay of a request in one direction; most delays are much shorter. */
  readonly delayMs: number;
  /** The request never reaches the store. */
  readonly lostRequests: number;
  /** The store carries out the request, and its answer is lost. */
  readonly lostAnswers: number;
  /** The store carries out the request after its client has given up. */
  readonly lateRequests: number;
  /** A watch is cut instead of delivering its next events. */
  readonly brokenWatches: number;
  /** Reading or changing the kernel fails as a whole; a part of the changes may be made. */
  readonly kernelFailures: number;
  /** The kernel loses events, and reports the loss later. */
  readonly lostKernelEvents: number;
  /** Writing subnet.env or the rules fails. */
  readonly hostFailures: number;
  /** The longest time that slow processors add to each step of every agent. */
  readonly lagMs: number;
  /** Mean time from one fault to the next. */
  readonly betweenFaultsMs: number;
}

/** Nothing goes wrong. */
export const FAIR: Weather = {
  delayMs: 20,
  lostRequests: 0,
  lostAnswers: 0,
  lateRequests: 0,
  brokenWatches: 0,
  kernelFailures: 0,
  lostKernelEvents: 0,
  hostFailures: 0,
  lagMs: 0,
  betweenFaultsMs: Number.POSITIVE_INFINITY,
};

export function drawWeather(random: Random): Omit<Weather, 'lagMs'> {
  const some = (most: number): number => (random() < 0.5 ? 0 : random() ** 2 * most);
  return {
    delayMs: 2 + random() ** 3 * 2_000,
    lostRequests: some(0.3),
    lostAnswers: some(0.4),
    lateRequests: some(0.1),
    brokenWatches: some(0.3),
    kernelFailures: some(0.3),
    lostKernelEvents: some(0.2),
    hostFailures: some(0.3),
    betweenFaultsMs: 300 + random() ** 2 * 6_000,
  };
}

/** The delay in one direction: mostly short, seldom up to `most`. */
export function drawDelayMs(random: Random, most: number): number {
  return random() ** 4 * most;
}
