// The metrics of whole nodes, beside few and many others.
import { describe, expect, it } from 'vitest';
import { formatMetrics } from '../../../agent/observe/prometheus.ts';
import { valueOf } from '../../support/metric-value.ts';
import { readScrape, strangersIn } from '../../support/scrape.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

const PEERS = 200;
const at = (number: number, type = 'host-gw'): string =>
  JSON.stringify({ PublicIP: `192.168.77.${number}`, BackendType: type });

describe('the metrics of a node', () => {
  it('the metrics have as many series with two hundred peers as with none, and all are in the table', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const { node } = await start(1);
      const text = (): Promise<string> => formatMetrics(node.metrics());
      const before = await text();
      for (let n = 0; n < PEERS; n++)
        await kv.create(
          `${PREFIX}/subnets/10.5.${n + 10}.0-24`,
          at(n + 20, n < 50 ? 'vxlan' : undefined),
          undefined,
        );
      await clock.advance(60_000);
      const after = await text();
      expect([...readScrape(after).keys()]).toEqual([...readScrape(before).keys()]);
      expect(strangersIn(after)).toEqual([]);
      const count = (state: string): unknown => valueOf(node.metrics(), 'twill_peers', { state });
      expect([count('routed'), count('faulty'), count('other_backend')]).toEqual([PEERS - 50, 0, 50]);
      expect(valueOf(node.metrics(), 'twill_kernel_objects', { kind: 'route' })).toBe(PEERS - 50);
      expect(valueOf(node.metrics(), 'twill_kernel_changes_total', { kind: 'route', op: 'add' })).toBe(
        PEERS - 50,
      );
    }));

  it('a node without its datastore is not connected, and has a failing condition of that part', () =>
    nodeBed(async ({ clock, start }) => {
      const host = await start(1);
      const connected = (): unknown => valueOf(host.node.metrics(), 'twill_store_connected');
      expect([connected(), valueOf(host.node.metrics(), 'twill_ready')]).toEqual([1, 1]);
      host.kv.setReachable(false);
      await clock.advance(60_000);
      const condition = { part: 'datastore', state: 'failing' };
      expect([connected(), valueOf(host.node.metrics(), 'twill_condition', condition)]).toEqual([0, 1]);
      expect(valueOf(host.node.metrics(), 'twill_ready')).toBe(0);
    }));
});
