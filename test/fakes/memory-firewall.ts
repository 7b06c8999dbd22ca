// The firewall of one host in memory.
import { isDeepStrictEqual } from 'node:util';
import type { FirewallRules, NodeFirewall } from '../../agent/model/firewall.ts';

export interface MemoryFirewall extends NodeFirewall {
  /** Our rules; undefined: there are none. A test that sets it plays another program. */
  rules: FirewallRules | undefined;
}

/** Creates a firewall without rules of ours, and without a chain that drops. */
export function createMemoryFirewall(mode: NodeFirewall['mode']): MemoryFirewall {
  const firewall: MemoryFirewall = {
    mode,
    rules: undefined,
    obstacles: async () => [],
    isAnnounced: () => false,
    isConcerned: () => true,
    mayObstruct: () => true,
    hasUnheardChange: async () => false,
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
