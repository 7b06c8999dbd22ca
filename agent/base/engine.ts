// The one door to V8's switches. Most of what runs at the start runs once: optimising it would cost 9 MiB and win
// nothing, and a young generation that is left to grow takes 6 MiB more for garbage.
import { setFlagsFromString } from 'node:v8';

/** Start small: nothing is optimised, and the young generation keeps its first size. Call before anything is loaded. */
export function startSmall(): void {
  setFlagsFromString('--no-opt');
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** From here on what is hot gets optimised, and the young generation grows with the work. */
export function allowGrowth(): void {
  setFlagsFromString('--opt');
  setFlagsFromString('--semi-space-growth-factor=2');
}
