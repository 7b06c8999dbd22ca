// The tunnel filter of one host in memory.
import type { TunnelFilter, TunnelRules } from '../../agent/model/tunnel-filter.ts';

export interface MemoryTunnelFilter extends TunnelFilter {
  /** Undefined: there is none. A test that deletes it plays another program. */
  held: { readonly rules: TunnelRules; readonly nodes: Set<string> } | undefined;
}

export function createMemoryTunnelFilter(): MemoryTunnelFilter {
  let left: MemoryTunnelFilter['held'];
  const filter: MemoryTunnelFilter = {
    held: undefined,
    async replace(rules, nodes) {
      left = { rules, nodes: new Set(nodes) };
      filter.held = left;
    },
    async change(added, removed) {
      const { held } = filter;
      if (held === undefined || removed.some((address) => !held.nodes.has(address))) {
        throw new Error('no such element');
      }
      for (const address of removed) held.nodes.delete(address);
      for (const address of added) held.nodes.add(address);
    },
    stands: async () => filter.held !== undefined && filter.held === left,
    async remove() {
      const had = filter.held !== undefined;
      filter.held = undefined;
      return had;
    },
    isConcerned: ({ table }) => table === 'ip twill-tunnel',
  };
  return filter;
}
