// The firewall of one host in memory.
import { isDeepStrictEqual } from 'node:util';
import type { FirewallRules, NodeFirewall } from '../../agent/model/firewall.ts';

export interface MemoryFirewall extends NodeFirewall {
  /** Undefined: none of ours. Setting it is another program's doing. */
  rules: FirewallRules | undefined;
}

/** A firewall without rules of ours, and with no chain that drops. */
export function createMemoryFirewall(mode: NodeFirewall['mode']): MemoryFirewall {
  const firewall: MemoryFirewall = {
    mode,
    rules: undefined,
    obstacles: async () => [],
    async ensure(wanted) {
      if (isDeepStrictEqual(firewall.rules, wanted)) return 'present';
      firewall.rules = wanted;
      return 'repaired';
    },
    async remove() {
      const had = firewall.rules !== undefined;
      firewall.rules = undefined;
      return had;
    },
  };
  return firewall;
}
