// The one door to V8's flags. Start-up code runs once, and an agent of a small network does little after it. Optimising
// that code would cost 9 MiB for nothing; a larger young generation would cost 6 MiB more.
import { setFlagsFromString } from 'node:v8';

let isLarge = false;

/** Optimises nothing and collects garbage early. Call it before anything is loaded. */
export function startSmall(): void {
  setFlagsFromString('--no-opt');
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
  // Bytes of bytecode that a function runs before it is optimised. A packet loop gets there in moments; code that runs
  // a few times a second never does.
  setFlagsFromString('--interrupt-budget=500000');
  // Bytecode that may be inlined into one function. The packet path consists of small functions: a call costs as much
  // as its body.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');
}

/** Lets V8 optimise hot functions from here on. */
export function allowOptimising(): void {
  setFlagsFromString('--opt');
}

/** Spends memory to save time from here on: for a network of many leases. Only the first call has an effect. */
export function allowGrowth(): void {
  if (isLarge) return;
  isLarge = true;
  allowOptimising();
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString('--no-optimize-for-size');
}
