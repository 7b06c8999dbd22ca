// A node whose subnet is assigned to it by another system: it claims nothing in the store.
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../agent/model/condition.ts';
import type { PerFamily, Prefix } from '../../../agent/model/ip.ts';
import type { LeaseHolder } from '../../../agent/model/lease-holder.ts';
import { prefix } from '../../support/build.ts';
import { nodeBed, PREFIX } from './node-bed.ts';

/** Holds the subnets that it is assigned. */
class AssignedLease implements LeaseHolder {
  subnets: PerFamily<Prefix> | undefined;
  #onChange: () => void = () => undefined;

  constructor(subnet: string) {
    this.subnets = { ipv4: prefix(subnet) };
  }

  assign(subnet: string | undefined): void {
    this.subnets = subnet === undefined ? undefined : { ipv4: prefix(subnet) };
    this.#onChange();
  }

  term(): undefined {}

  conditions(): readonly Condition[] {
    if (this.subnets !== undefined) return [];
    return [{ part: 'lease', state: 'waiting', reason: 'no subnet is assigned' }];
  }

  async acquire(): Promise<void> {}
  announce(): void {}
  notice(): void {}
  recheck(): void {}

  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
}

describe('a node with an assigned subnet', () => {
  it('a node uses its assigned subnet, follows its peers, and writes no lease', () =>
    nodeBed(async ({ kv, start }) => {
      const self = await start(1, undefined, true, new AssignedLease('10.5.8.0/24'));
      await start(2);
      expect([self.reason(), self.handedOff(), self.routes()]).toEqual([
        'ready',
        '10.5.8.0/24',
        ['10.5.2.0/24'],
      ]);
      const { entries } = await kv.list(`${PREFIX}/subnets/`);
      expect(entries.map(({ key }) => key)).toEqual([`${PREFIX}/subnets/10.5.2.0-24`]);
    }));

  it('a node withdraws everything when its assigned subnet is taken back, and uses the next one', () =>
    nodeBed(async ({ clock, start }) => {
      const lease = new AssignedLease('10.5.8.0/24');
      const self = await start(1, undefined, true, lease);
      await start(2);
      lease.assign(undefined);
      await clock.advance(1_000);
      expect([self.reason(), self.routes(), self.rules()]).toEqual(['no subnet is assigned', [], undefined]);
      lease.assign('10.5.9.0/24');
      await clock.advance(1_000);
      expect([self.reason(), self.handedOff(), self.routes()]).toEqual([
        'ready',
        '10.5.9.0/24',
        ['10.5.2.0/24'],
      ]);
    }));
});
