// The one door to V8's switches. Most of what runs at the start runs once, and an agent of a small network does little
// ever after: optimising all of it would cost 9 MiB and win nothing, and memory that is kept for later garbage 6 MiB more.
import { setFlagsFromString } from 'node:v8';

let isLarge = false;

/** Start small: nothing is optimised, and garbage is collected early. Call before anything is loaded. */
export function startSmall(): void {
  setFlagsFromString('--no-opt');
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
  // Bytes of bytecode that a function has run before it is optimised: a loop that moves packets is through with them in
  // moments, and what runs a few times a second never is.
  setFlagsFromString('--interrupt-budget=500000');
  // Bytecode that is put into one function when it is optimised: what is done for each packet is small parts, and a call
  // between them costs as much as they do.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');
}

/** From here on what is hot gets optimised. */
export function allowOptimising(): void {
  setFlagsFromString('--opt');
}

/** From here on there is much to do, and time is dearer than memory. */
export function allowGrowth(): void {
  if (isLarge) return;
  isLarge = true;
  allowOptimising();
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString('--no-optimize-for-size');
}
