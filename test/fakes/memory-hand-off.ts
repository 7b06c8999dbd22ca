// The subnet.env of one host in memory.
import { isDeepStrictEqual } from 'node:util';
import type { HandOff, SubnetEnv } from '../../agent/model/hand-off.ts';

export interface MemoryHandOff extends HandOff {
  /** The content of the file; undefined: there is none. A test that sets it plays another program. */
  env: SubnetEnv | undefined;
}

/** Creates a hand-off without a file. */
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
