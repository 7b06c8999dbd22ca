// A node whose host refuses reads or writes, and a node whose claim is answered late.
import { describe, expect, it } from 'vitest';
import type { Kv } from '../../../agent/model/kv.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { nodeBed, OTHERS, PREFIX } from './node-bed.ts';

describe('a node whose network names no backend', () => {
  it.each([
    [undefined, 'backend="vxlan (none is configured: no lease names one)"'],
    [OTHERS, 'backend="host-gw (none is configured: as the leases of other nodes)"'],
  ])('a node with another lease %s says which backend it takes and why: %s', (other, said) =>
    nodeBed(async ({ kv, start, writeConfig }) => {
      await writeConfig('{"Network":"10.5.0.0/16"}');
      const session = await kv.openSession(86_400);
      if (other !== undefined) await kv.create(`${PREFIX}/subnets/10.5.9.0-24`, other, session);
      const node = await start(1);
      expect(node.lines).toContainEqual(expect.stringContaining(said));
      expect(node.reason()).toBe('ready');
      expect(node.routes()).toEqual(other === undefined ? [] : ['10.5.9.0/24']);
    }),
  );
});

describe('a node that cannot write what it hands off', () => {
  it('a node reports a failed hand-off, and repeats it without an event', () =>
    nodeBed(async ({ clock, start }) => {
      const node = await start(1, undefined, false);
      node.refuseHandOff(true);
      node.answerKernel();
      await clock.advance(60_000);
      expect(node.reason()).toBe('cannot write subnet.env: no space');
      node.refuseHandOff(false);
      await clock.advance(LIMITS.retryBackoff.maxMs);
      expect(node.reason()).toBe('ready');
    }));
});

describe('a node that is ready for the first time', () => {
  it('a node says that it is ready only when nothing is in the way, and says it once', () =>
    nodeBed(async ({ clock, start }) => {
      const node = await start(1, undefined, true, undefined, true);
      const said = (): unknown[] => [
        node.toldReady(),
        node.lines.filter((line) => line.includes('ready: ')).length,
      ];
      await clock.advance(60_000);
      // Containers can start, but their packets are not masqueraded.
      expect(node.handedOff()).toBe('10.5.1.0/24');
      expect(node.reason()).toBe('cannot write the rules: no permission');
      expect(said()).toEqual([0, 0]);
      node.refuseRules(false);
      await clock.advance(10_000);
      expect([node.reason(), said()]).toEqual(['ready', [1, 1]]);
      node.refuseRules(true);
      await clock.advance(10_000);
      node.refuseRules(false);
      await clock.advance(10_000);
      expect([node.reason(), said()]).toEqual(['ready', [1, 1]]);
    }));

  it('a node is ready at once when everything stands', () =>
    nodeBed(async ({ start }) => {
      const node = await start(1);
      expect([node.reason(), node.toldReady()]).toEqual(['ready', 1]);
    }));
});

describe('a node whose kernel refuses to be read', () => {
  it('a node hands off no subnet that it loses before its kernel state is applied', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const node = await start(1, undefined, false);
      const entry = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (entry === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, OTHERS);
      await clock.advance(1_000);
      node.answerKernel();
      await clock.advance(LIMITS.retryBackoff.maxMs + 1_000);
      expect(node.handedOff()).not.toBe('10.5.1.0/24');
      expect(node.lines.filter((line) => line.includes('wrote subnet.env'))).toHaveLength(1);
    }));
});

describe('a node whose claim is answered late', () => {
  it('a node applies nothing for a subnet that another node took before the claim was answered', () =>
    nodeBed(async ({ clock, kv, start }) => {
      let isSlow = true;
      const slowly = (own: Kv): Kv => ({
        ...own,
        create: async (...args) => {
          const entry = await own.create(...args);
          if (isSlow) await clock.sleep(1_000);
          return entry;
        },
      });
      const node = await start(1, slowly, false);
      node.answerKernel();
      isSlow = false;
      const entry = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (entry === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, OTHERS);
      await clock.advance(LIMITS.retryBackoff.maxMs + 2_000);
      const made = node.lines.filter((line) => /ready: subnet|wrote subnet.env/.test(line));
      expect(made).toEqual([expect.stringContaining('wrote'), expect.stringContaining('ready: subnet')]);
      expect(made.join()).not.toContain('10.5.1.0/24');
      expect(node.handedOff()).not.toBe('10.5.1.0/24');
      expect(node.reason()).toBe('ready');
    }));
});
