import { describe, expect, it } from 'vitest';
import { type ChoiceInput, choose, findMisfits } from '../../../agent/lease/choose.ts';
import { ownership } from '../../../agent/lease/ownership.ts';
import { formatSubnets, type Lease, type NodeIdentity } from '../../../agent/model/lease.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { lease, leaseAttrs, prefix } from '../../support/build.ts';

const SELF: NodeIdentity = { id: '00000000000000aa', mac: undefined, name: 'h1' };
const H2: NodeIdentity = { id: '00000000000000bb', mac: undefined, name: 'h2' };
const HERE = '192.168.77.1';
const ELSEWHERE = '192.168.77.9';
const US = { publicIP: { ipv4: HERE }, node: SELF };

const leaseOf = (subnet: string, publicIP: string, node?: NodeIdentity, more: Partial<Lease> = {}): Lease =>
  lease(subnet, leaseAttrs(publicIP, { node }), more);

describe('ownership', () => {
  it.each([
    ['by both', HERE, SELF, 'ours'],
    ['written by flannel', HERE, undefined, 'ours'],
    ['with another machine', HERE, { ...SELF, id: H2.id }, 'renamed'],
    ['with another name, as of a cloned machine', HERE, { ...SELF, name: 'h2' }, 'renamed'],
    ['at another address', ELSEWHERE, SELF, 'moved'],
    ['of another node', ELSEWHERE, { ...SELF, name: 'h2' }, undefined],
    ['of a flannel node', ELSEWHERE, undefined, undefined],
  ] as const)('a lease %s is judged by address and identity', (_, publicIP, node, expected) => {
    expect(ownership(leaseOf('10.5.2.0/24', publicIP, node), US)).toBe(expected);
  });
});

/** The choice in one line, in a network of four subnets. */
function chosen(leases: readonly Lease[], more: Partial<ChoiceInput> = {}): string {
  const fields = { Network: '10.5.0.0/16', SubnetMin: '10.5.10.0', SubnetMax: '10.5.13.0' };
  const config = parseNetworkConfig(JSON.stringify(fields), 'config');
  const choice = choose({ leases, config, self: US, previous: undefined, random: () => 0, ...more });
  switch (choice.kind) {
    case 'keep':
      return `keep ${choice.lease.key}`;
    case 'ask':
      return `ask ${choice.lease.key} ${choice.because}`;
    case 'claim':
      return `claim ${formatSubnets(choice.subnets)}`;
    case 'full':
      return 'full';
  }
}

describe('the choice of a lease', () => {
  const ours = leaseOf('10.5.10.0/24', HERE, SELF);
  const moved = leaseOf('10.5.11.0/24', ELSEWHERE, SELF);
  const renamed = leaseOf('10.5.12.0/24', HERE, H2);
  const others = [10, 11, 12, 13].map((n) => leaseOf(`10.5.${n}.0/24`, `192.168.78.${n}`));
  const previous = { ipv4: prefix('10.5.13.0/24') };
  const former = { ...moved, session: 'former' };

  it.each<[string, readonly Lease[], Partial<ChoiceInput>, string]>([
    ['our own lease before all others', [renamed, moved, ours], { previous }, 'keep 10.5.10.0-24'],
    ['a lease of flannel at our address', [leaseOf('10.5.12.0/24', HERE)], {}, 'keep 10.5.12.0-24'],
    ['our own lease from another address', [renamed, moved], { previous }, 'ask 10.5.11.0-24 moved'],
    ['a lease at our address with another name', [renamed], { previous }, 'ask 10.5.12.0-24 renamed'],
    ['the previous subnet', [], { previous }, 'claim 10.5.13.0/24'],
    ['any free one', others.slice(0, 3), {}, 'claim 10.5.13.0/24'],
    ['another one where the previous subnet is taken', others.slice(1), { previous }, 'claim 10.5.10.0/24'],
    ['nothing where nothing is free', others, { previous }, 'full'],
    [
      'no second question about a lease that another node answers for',
      [moved],
      { taken: [moved.subnets], previous: moved.subnets },
      'claim 10.5.10.0/24',
    ],
    [
      'no subnet that the store has refused',
      [],
      { taken: [previous.ipv4].map((subnet) => ({ ipv4: subnet })), previous },
      'claim 10.5.10.0/24',
    ],
    [
      'no lease outside of the range',
      [leaseOf('10.5.99.0/24', HERE, SELF)],
      { previous },
      'claim 10.5.13.0/24',
    ],
    [
      'a reservation also outside of the range',
      [leaseOf('10.5.99.0/24', HERE, SELF, { session: undefined })],
      {},
      'keep 10.5.99.0-24',
    ],
    [
      'no reservation of another length',
      [leaseOf('10.5.96.0/22', HERE, SELF, { session: undefined })],
      { previous },
      'claim 10.5.13.0/24',
    ],
    [
      'our former subnet although it is still listed at our former address',
      [former],
      { last: former, previous: former.subnets },
      'claim 10.5.11.0/24',
    ],
  ])('the choice is %s', (_, leases, more, expected) => {
    expect(chosen(leases, more)).toBe(expected);
  });

  it('the choice leaves unfit leases of ours to be given back', () => {
    const config = parseNetworkConfig('{"Network":"10.5.0.0/16","SubnetMin":"10.5.11.0"}', 'config');
    expect(findMisfits([ours, moved, renamed, ...others], config, US)).toEqual([ours]);
  });
});
