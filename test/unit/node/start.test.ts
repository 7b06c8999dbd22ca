// What a node does where its host does not take what it is given.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/limits.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

const OTHERS = JSON.stringify({ PublicIP: '192.168.77.9', BackendType: 'host-gw' });

describe('a node that cannot write what it hands off', () => {
  it('says so, and writes it when it can, with no event to remind it', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const node = await start(1);
      node.refuseHandOff(true);
      await kv.create(`${PREFIX}/subnets/10.5.3.0-24`, OTHERS, undefined);
      await clock.advance(60_000);
      expect(node.node.readiness().reason).toBe('cannot write subnet.env: no space');
      node.refuseHandOff(false);
      await clock.advance(LIMITS.reconcileBackoff.maxMs);
      expect(node.node.readiness().ready).toBe(true);
    }));
});

describe('a node whose kernel refuses to be read', () => {
  it('hands off no subnet that it loses before anything stands', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const node = await start(1, undefined, false);
      const entry = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (entry === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, OTHERS);
      await clock.advance(1_000);
      node.answerKernel();
      await clock.advance(LIMITS.reconcileBackoff.maxMs + 1_000);
      expect(node.handedOff()).not.toBe('10.5.1.0/24');
      expect(node.lines.filter((line) => line.includes('wrote subnet.env'))).toHaveLength(1);
    }));
});
