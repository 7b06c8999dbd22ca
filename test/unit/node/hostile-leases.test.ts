// Whole nodes beside somebody who writes leases in bad faith.
import { describe, expect, it } from 'vitest';
import { valueOf } from '../../support/metric-value.ts';
import type { TestHost } from './node-bed.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

const value = (publicIP: string): string => JSON.stringify({ PublicIP: publicIP, BackendType: 'host-gw' });
const ATTACKER = value('192.168.77.99');
const unreached = ({ node }: TestHost): unknown =>
  valueOf(node.metrics(), 'twill_peers', { state: 'faulty' });

describe('a node beside leases in bad faith', () => {
  it.each([
    ['a second key for the subnet of a node', '10.5.2.0-24&fd00:5:2::-64', ATTACKER],
    ['one address in the subnet of a node', '10.5.2.10-32', ATTACKER],
    ['a prefix around the subnets of all nodes', '10.5.0.0-16', ATTACKER],
    ['a subnet outside of the network', '192.168.76.0-24', ATTACKER],
    ['a subnet at a group of hosts', '10.5.8.0-24', value('239.1.1.1')],
    ['a subnet at its own address', '10.5.8.0-24', value('10.5.8.9')],
    ["a subnet at an address in a node's subnet", '10.5.8.0-24', value('10.5.2.9')],
  ])('all nodes keep subnets and routes beside %s, and tell of it once', (_, key, text) =>
    nodeBed(async ({ clock, kv, start }) => {
      const hosts = [await start(1), await start(2), await start(3)];
      await clock.advance(1_000);
      const before = hosts.map(({ kernel }) => kernel.print());
      const entry = await kv.create(`${PREFIX}/subnets/${key}`, text, undefined);
      await clock.advance(60_000);
      expect(hosts.map(({ kernel }) => kernel.print())).toEqual(before);
      for (const host of hosts) {
        expect([host.reason(), unreached(host)]).toEqual(['ready', 1]);
        expect(host.lines.filter((line) => line.includes('is not reached'))).toHaveLength(1);
      }
      if (entry !== undefined) await kv.delete(entry);
      await clock.advance(1_000);
      expect(hosts.map(unreached)).toEqual([0, 0, 0]);
      // A node that starts among them learns the same.
      await kv.create(`${PREFIX}/subnets/${key}`, text, undefined);
      const fourth = await start(4);
      await clock.advance(1_000);
      expect([fourth.reason(), fourth.routes()]).toEqual([
        'ready',
        ['10.5.1.0/24', '10.5.2.0/24', '10.5.3.0/24'],
      ]);
    }),
  );

  it('a node ends no session and deletes no key of others by a lease that looks like its own', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const session = await kv.openSession(1_000);
      await kv.create('/elsewhere', 'x', session);
      const Node = { ID: '0000000000000001', Name: 'h1' };
      const ours = JSON.stringify({ PublicIP: '192.168.77.1', BackendType: 'host-gw', Node });
      for (let i = 0; i < 50; i++) await kv.create(`${PREFIX}/subnets/10.5.5.${i}-32`, ours, session);
      const host = await start(1);
      await clock.advance(60_000);
      expect([host.reason(), host.handedOff()]).toEqual(['ready', '10.5.1.0/24']);
      expect((await kv.get('/elsewhere'))?.session).toBe(session);
    }));

  it('a node takes one of many leases at its address, and leaves the rest', () =>
    nodeBed(async ({ clock, kv, start }) => {
      for (const n of [8, 5, 6, 7])
        await kv.create(`${PREFIX}/subnets/10.5.${n}.0-24`, value('192.168.77.1'), undefined);
      const host = await start(1);
      await clock.advance(60_000);
      expect([host.reason(), host.handedOff()]).toEqual(['ready', '10.5.8.0/24']);
      const { entries } = await kv.list(`${PREFIX}/subnets/`);
      expect(entries.filter(({ value: text }) => text?.includes('"Node"')).map(({ key }) => key)).toEqual([
        `${PREFIX}/subnets/10.5.8.0-24`,
      ]);
    }));
});
