// What a whole node does when its lease or its datastore is not as it was.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../agent/limits.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

const OTHERS = JSON.stringify({ PublicIP: '192.168.77.9', BackendType: 'host-gw' });

describe('a node whose subnet another one has now', () => {
  it('withdraws routes and rules, and stands anew with another subnet', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const [first, second] = [await start(1), await start(2)];
      expect([first.routes(), second.routes()]).toEqual([['10.5.2.0/24'], ['10.5.1.0/24']]);
      // Nothing is free, so that it stays without a subnet for a while.
      const last = await kv.create(`${PREFIX}/subnets/10.5.3.0-24`, OTHERS, undefined);
      const entry = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (entry === undefined || last === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, OTHERS);
      await clock.advance(100);
      expect([first.routes(), first.rules(), first.kernel.print()]).toEqual([[], undefined, '']);
      expect(first.node.readiness()).toEqual({
        ready: false,
        reason: 'another node has our subnet: taking another one',
      });
      expect(second.routes()).toEqual(['10.5.1.0/24', '10.5.3.0/24']);
      await clock.advance(60_000);
      expect([first.rules(), first.handedOff()]).toEqual([undefined, '10.5.1.0/24']);
      await kv.delete(last);
      await clock.advance(LIMITS.datastoreBackoff.maxMs + 100);
      expect(first.node.readiness()).toEqual({ ready: true, reason: 'ready' });
      expect(first.handedOff()).toBe('10.5.3.0/24');
      expect(first.routes()).toEqual(['10.5.1.0/24', '10.5.2.0/24']);
      expect(JSON.stringify(first.rules())).toContain('10.5.3.0');
      expect(JSON.stringify(first.rules())).not.toContain('10.5.1.0');
      expect(second.routes()).toEqual(['10.5.1.0/24', '10.5.3.0/24']);
    }));
});
