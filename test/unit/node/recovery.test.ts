// A whole node after its machine was suspended, hung or changed.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { LIMITS as KERNEL_LIMITS } from '../../../agent/kernel/limits.ts';
import { CHALLENGE_WAIT_MS, DATASTORE_BACKOFF } from '../../../agent/model/limits.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { nodeBed, OTHERS, PREFIX } from './node-bed.ts';

describe('a machine that was suspended', () => {
  it('a node asks for its lease after a suspension before it is ready again', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const first = await start(1);
      const lease = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      // The datastore becomes unreachable. No event reports it.
      first.kv.setReachable(false);
      first.suspend(30 * 3_600_000);
      await clock.advance(LIMITS.suspensionLookMs);
      expect(first.lines).toContainEqual(expect.stringMatching(/was suspended: .* seconds=108000/));
      expect(first.reason()).not.toBe('ready');
      first.kv.setReachable(true);
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(first.reason()).toBe('ready');
      expect(await kv.get(`${PREFIX}/subnets/10.5.1.0-24`)).toEqual(lease);
    }));

  it('a node drops its subnet when another node took it during the suspension', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const first = await start(1);
      const lease = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      if (lease?.session === undefined) throw new Error('no lease');
      first.kv.setReachable(false);
      await clock.advance(100);
      await kv.closeSession(lease.session);
      await kv.create(lease.key, OTHERS, undefined);
      first.suspend(30 * 3_600_000);
      first.kv.setReachable(true);
      await clock.advance(LIMITS.suspensionLookMs + DATASTORE_BACKOFF.maxMs);
      expect(first.reason()).toBe('ready');
      expect(first.handedOff()).not.toBe('10.5.1.0/24');
    }));

  it('a node reports no suspension after an hour awake', () =>
    nodeBed(async ({ clock, start }) => {
      const first = await start(1);
      await clock.advance(3_600_000);
      expect(first.lines.join('\n')).not.toContain('suspended');
    }));
});

describe('a node that is asked whether it is alive', () => {
  const KEY = `${PREFIX}/subnets/10.5.1.0-24`;
  const ASKED = { ID: '0000000000000009', Name: 'h9' };

  it('a node answers in time though the datastore failed three times', () =>
    nodeBed(async ({ clock, kv, start }) => {
      let failures = Number.POSITIVE_INFINITY;
      const first = await start(1, (own) => ({
        ...own,
        update: (...args) => {
          if (failures >= 3) return own.update(...args);
          failures++;
          return Promise.reject(new TwillError('datastore', 'the server has a new leader'));
        },
      }));
      const entry = await kv.get(KEY);
      if (entry === undefined) throw new Error('no lease');
      failures = 0;
      await kv.update(entry, JSON.stringify({ ...JSON.parse(entry.value ?? ''), Asked: ASKED }));
      await clock.advance(CHALLENGE_WAIT_MS / 2);
      expect(await kv.get(KEY)).toMatchObject({ value: entry.value, session: entry.session });
      expect([failures, first.reason(), first.handedOff()]).toEqual([3, 'ready', '10.5.1.0/24']);
    }));
});

describe('a kernel that does not answer', () => {
  it('a silent kernel makes the node not ready within seconds and not alive within a minute', () =>
    nodeBed(async ({ clock, start }) => {
      const first = await start(1);
      const read = first.kernel.read.bind(first.kernel);
      let answer = (): void => undefined;
      const answered = new Promise<void>((resolve) => (answer = resolve));
      first.kernel.read = async () => {
        await answered;
        return read();
      };
      await start(2);
      // Another program takes the place of our route, and goes again: only a reading tells what is left.
      const taken = { kind: 'route', type: 'unicast', dst: '10.5.2.0/24', via: undefined } as const;
      first.kernel.plant({ ...taken, dev: 'eth0', onlink: false });
      first.kernel.uproot('route 10.5.2.0/24');
      await clock.advance(KERNEL_LIMITS.reconcileDelayMs + LIMITS.slowCallMs + 1_000);
      expect(first.reason()).toBe('reading the kernel: not done after 5 s');
      expect(first.node.hangs()).toBeUndefined();
      await clock.advance(LIMITS.hangingCallMs);
      expect(first.node.hangs()).toMatch(/^reading the kernel: not done after 6\d s$/);
      answer();
      await clock.advance(1_000);
      expect([first.reason(), first.node.hangs()]).toEqual(['ready', undefined]);
      expect(first.routes()).toEqual(['10.5.2.0/24']);
    }));
});

describe('a host that has another address', () => {
  const MOVED_MS = LIMITS.hostLookMs + LIMITS.hostSettleMs + 1_000;

  it('a host with a new address keeps its subnet and its lease, and peers route to the new address', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const [first, second] = [await start(1), await start(2)];
      const key = `${PREFIX}/subnets/10.5.1.0-24`;
      const before = await kv.get(key);
      first.readdress('192.168.77.11');
      await clock.advance(MOVED_MS);
      const after = await kv.get(key);
      expect(after?.session).toBe(before?.session);
      expect(JSON.parse(after?.value ?? '')).toMatchObject({ PublicIP: '192.168.77.11' });
      expect(second.kernel.print()).toContain('route 10.5.1.0/24 via 192.168.77.11 dev eth0');
      expect(first.routes()).toEqual(['10.5.2.0/24']);
      // It moves and returns, while the events of both changes are under way.
      first.readdress('192.168.77.1');
      await clock.advance(MOVED_MS);
      expect(JSON.parse((await kv.get(key))?.value ?? '')).toMatchObject({ PublicIP: '192.168.77.1' });
      expect([first.handedOff(), first.reason()]).toEqual(['10.5.1.0/24', 'ready']);
    }));

  it('a node announces its new host name, so that its next start finds its lease as it is', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const first = await start(1);
      const before = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      first.rename('dhcp-7');
      await clock.advance(MOVED_MS);
      const after = await kv.get(`${PREFIX}/subnets/10.5.1.0-24`);
      expect(JSON.parse(after?.value ?? '')).toMatchObject({ Node: { Name: 'dhcp-7' } });
      expect([after?.session, first.handedOff(), first.reason()]).toEqual([
        before?.session,
        '10.5.1.0/24',
        'ready',
      ]);
    }));

  it('a node warns when its new address is the address of another node', () =>
    nodeBed(async ({ clock, start }) => {
      const first = await start(1);
      await start(2);
      first.readdress('192.168.77.2');
      await clock.advance(MOVED_MS);
      expect(first.lines).toContainEqual(
        expect.stringMatching(/another node has announced our new address too: .* name=h2 /),
      );
    }));
});
