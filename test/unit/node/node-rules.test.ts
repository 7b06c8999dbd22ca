// The firewall rules that a node wants, as peers come.
import { describe, expect, it } from 'vitest';
import { nodeBed, OTHERS, PREFIX } from './node-bed.ts';

describe('the firewall rules of a node', () => {
  it('a first peer by another link changes the firewall rules of a node that stays ready', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const host = await start(1);
      expect(host.rules()?.direct).toEqual([]);
      await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, OTHERS, undefined);
      const reasons = new Set<string>();
      for (let step = 0; step < 500; step++) {
        await clock.advance(1);
        reasons.add(host.reason());
      }
      const links = host.rules()?.direct.map(({ match }) => match.inLink);
      expect({ links, reasons: [...reasons] }).toEqual({ links: ['eth0'], reasons: ['ready'] });
    }));
});
