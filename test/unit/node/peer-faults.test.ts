// Peers that cannot be reached, beside a node that is ready.
import { describe, expect, it } from 'vitest';
import type { PeerCondition } from '../../../agent/model/condition.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { PeerFaults } from '../../../agent/node/peer-faults.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';
import { valueOf } from '../../support/metric-value.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

const at = (publicIP: string): string => JSON.stringify({ PublicIP: publicIP, BackendType: 'host-gw' });
const REFUSED =
  'warn  twill: peer 192.168.99.4 with 10.5.4.0/24 is not reached: cannot add route 10.5.4.0/24 via 192.168.99.4 ' +
  'dev eth0: network is unreachable (ENETUNREACH): 192.168.99.4 is not on the link of eth0: host-gw needs all ' +
  'hosts on one link';

describe('a node with a peer that cannot be reached', () => {
  it('a node is ready beside a peer behind a router, which is said once, and once when it is over', () =>
    nodeBed(async ({ clock, kv, start }) => {
      await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, at('192.168.99.4'), undefined);
      await kv.create(`${PREFIX}/subnets/10.5.5.0-24`, at('192.168.77.5'), undefined);
      const node = await start(1);
      expect([node.reason(), node.toldReady(), node.routes()]).toEqual(['ready', 1, ['10.5.5.0/24']]);
      await clock.advance(120_000);
      const about = (): string[] => node.lines.filter((line) => line.includes('10.5.4.0'));
      expect(about()).toEqual([REFUSED]);
      expect(node.node.peerConditions().map(({ peer }) => peer.subnet)).toEqual(['10.5.4.0/24']);
      const count = (state: string): unknown => valueOf(node.node.metrics(), 'twill_peers', { state });
      expect([count('routed'), count('faulty'), count('other_backend')]).toEqual([1, 1, 0]);
      const entry = await kv.get(`${PREFIX}/subnets/10.5.4.0-24`);
      if (entry === undefined) throw new Error('no lease');
      await kv.update({ ...entry, session: undefined }, at('192.168.77.4'));
      await clock.advance(1_000);
      expect(node.routes()).toEqual(['10.5.4.0/24', '10.5.5.0/24']);
      expect(about()).toEqual([
        REFUSED,
        'info  twill: the fault of peer 192.168.99.4 with 10.5.4.0/24 is over',
      ]);
      expect([node.node.peerConditions(), count('routed'), count('faulty')]).toEqual([[], 2, 0]);
    }));

  it('a lease over the addresses of the underlay gets no route, and a condition about its node', () =>
    nodeBed(async ({ clock, kv, start, writeConfig }) => {
      await writeConfig(JSON.stringify({ Network: '192.168.0.0/16', Backend: { Type: 'host-gw' } }));
      await kv.create(`${PREFIX}/subnets/192.168.77.0-24`, at('192.168.78.4'), undefined);
      await kv.create(`${PREFIX}/subnets/192.168.5.0-24`, at('192.168.77.5'), undefined);
      const node = await start(1);
      await clock.advance(1_000);
      expect([node.reason(), node.routes()]).toEqual(['ready', ['192.168.5.0/24']]);
      expect(node.lines.filter((line) => line.startsWith('warn'))).toEqual([
        'warn  twill: peer 192.168.78.4 with 192.168.77.0/24 is not reached: 192.168.77.0/24 contains 192.168.77.1, ' +
          'the address of this host: no route leads there',
      ]);
    }));
});

describe('the faults of peers', () => {
  const fault = (n: number, reason = 'refused'): PeerCondition => ({
    part: 'kernel',
    state: 'failing',
    reason,
    peer: { subnet: `10.5.${n}.0/24`, publicIP: `192.168.77.${n}`, name: `h${n}\n` },
  });

  it('many faults at one time are counted, and only some are logged', () => {
    const { log, lines } = captureLog('twill', 'debug');
    const faults = new PeerFaults(log, createVirtualClock());
    faults.update([fault(2)], [fault(3)]);
    expect(lines).toEqual([
      'warn  twill: peer h2  192.168.77.2 with 10.5.2.0/24 is not reached: refused',
      'warn  twill: peer h3  192.168.77.3 with 10.5.3.0/24 is not reached: refused',
    ]);
    lines.length = 0;
    faults.update(
      [],
      Array.from({ length: 100 }, (_, i) => fault(i + 2)),
    );
    expect(lines).toHaveLength(LIMITS.reportedPeers + 1);
    expect(lines.at(-1)).toBe('warn  twill: more peers are not reached peers=93');
    expect(faults.count).toBe(100);
    lines.length = 0;
    faults.update([], []);
    expect(lines.at(-1)).toBe('info  twill: the faults of more peers are over peers=95');
  });

  it('another reason for the same peer is logged', () => {
    const { log, lines } = captureLog('twill', 'debug');
    const faults = new PeerFaults(log, createVirtualClock());
    faults.update([fault(2)]);
    faults.update([fault(2)]);
    faults.update([fault(2, 'another')]);
    expect(lines.map((line) => line.split(': ').at(-1))).toEqual(['refused', 'another']);
  });
});
