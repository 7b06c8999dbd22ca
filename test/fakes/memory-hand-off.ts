// The subnet.env of one host in memory.
import { isDeepStrictEqual } from 'node:util';
import type { HandOff, SubnetEnv } from '../../agent/model/hand-off.ts';

export interface MemoryHandOff extends HandOff {
  /** Undefined: there is no file. Setting it is another program's doing. */
  env: SubnetEnv | undefined;
}

/** A hand-off of which nothing was written yet. */
export function createMemoryHandOff(): MemoryHandOff {
  const handOff: MemoryHandOff = {
    name: 'subnet.env',
    env: undefined,
    previousSubnet: async () => handOff.env?.subnet,
    async write(env) {
      const isNew = !isDeepStrictEqual(handOff.env, env);
      handOff.env = env;
      return isNew;
    },
  };
  return handOff;
}
