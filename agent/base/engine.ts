// The one door to V8's flags. Start-up code runs once, and an agent of a small network does little after it. Optimising
// that code would cost 9 MiB for nothing; a larger young generation would cost 6 MiB more.
import { setFlagsFromString } from 'node:v8';

let isStarted = false;
let isLarge = false;

/** Optimises nothing and collects garbage early. Call it before anything is loaded. */
export function startSmall(): void {
  setFlagsFromString('--no-opt');
  // The compilers between the interpreter and the optimising one: 0.7 MiB, and 2 MiB with a thousand leases. Only
  // later versions than Node 20 use the second one by default.
  setFlagsFromString('--no-sparkplug');
  setFlagsFromString('--no-maglev');
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
  // Bytes of bytecode that a function runs before it is optimised. A packet loop gets there in moments; code that runs
  // a few times a second never does. V8 counts calls since version 12, and complains about the flag.
  if (Number.parseInt(process.versions.v8, 10) < 12) setFlagsFromString('--interrupt-budget=500000');
  // Bytecode that may be inlined into one function. The packet path consists of small functions: a call costs as much
  // as its body.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');
}

/** Lets V8 compile warm functions and optimise hot ones from here on: the start is over. */
export function allowOptimising(): void {
  isStarted = true;
  setFlagsFromString('--sparkplug');
  setFlagsFromString('--opt');
  if (isLarge) grow();
}

/**
 * Optimises nothing that `work` calls, until it settles: for long loops that run seldom. The first function that is
 * optimised costs 6 MiB.
 */
export async function withoutOptimising<T>(work: () => Promise<T>): Promise<T> {
  setFlagsFromString('--no-opt');
  try {
    return await work();
  } finally {
    if (isStarted) setFlagsFromString('--opt');
  }
}

/**
 * Spends memory to save time: for a network of many leases. It waits for the end of the start, which is too short for
 * that to pay. Only the first call has an effect.
 */
export function allowGrowth(): void {
  if (isLarge) return;
  isLarge = true;
  if (isStarted) grow();
}

function grow(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString('--no-optimize-for-size');
}
