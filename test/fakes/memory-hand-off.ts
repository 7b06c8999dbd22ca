// The hand-off of one host in memory: its subnet.env, and a file for which an engine waits.
import { isDeepStrictEqual } from 'node:util';
import type { HandOff, SubnetEnv } from '../../agent/model/hand-off.ts';
import type { Prefix } from '../../agent/model/ip.ts';

export interface MemoryHandOff extends HandOff {
  /** The content of the file; undefined: there is none. A test that sets it plays another program. */
  env: SubnetEnv | undefined;
  /** The subnet in which the engine starts containers; undefined: in none. */
  gate: Prefix | undefined;
}

/** Creates a hand-off without a file. */
export function createMemoryHandOff(): MemoryHandOff {
  const handOff: MemoryHandOff = {
    name: 'subnet.env',
    env: undefined,
    gate: undefined,
    previousSubnet: async () => handOff.env?.subnet,
    async write(env) {
      const isNew = !isDeepStrictEqual(handOff.env, env);
      handOff.env = env;
      handOff.gate = env.subnet;
      return isNew;
    },
    async retract(subnet) {
      if (!isDeepStrictEqual(handOff.gate, subnet)) handOff.gate = undefined;
    },
  };
  return handOff;
}
