import { describe, expect, it } from 'vitest';
import { type ChoiceInput, choose, findMisfits } from '../../../agent/lease/choose.ts';
import { LIMITS } from '../../../agent/lease/limits.ts';
import { formatSubnets, type Lease, type NodeIdentity } from '../../../agent/model/lease.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { lease, leaseAttrs, prefix } from '../../support/build.ts';

const SELF: NodeIdentity = { id: '00000000000000aa', mac: '02:00:00:00:00:01', name: 'h1' };
const CLONE: NodeIdentity = { ...SELF, mac: '02:00:00:00:00:02' };
const H2: NodeIdentity = { id: '00000000000000bb', mac: '02:00:00:00:00:02', name: 'h2' };
const HERE = '192.168.77.1';
const ELSEWHERE = '192.168.77.9';
const US = { publicIP: { ipv4: HERE }, node: SELF };

const leaseOf = (subnet: string, publicIP: string, node?: NodeIdentity, more: Partial<Lease> = {}): Lease =>
  lease(subnet, leaseAttrs(publicIP, { node }), more);

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
  const namesake = leaseOf('10.5.12.0/24', HERE, H2);
  const clone = leaseOf('10.5.13.0/24', ELSEWHERE, CLONE);
  const others = [10, 11, 12, 13].map((n) => leaseOf(`10.5.${n}.0/24`, `192.168.78.${n}`));
  const previous = { ipv4: prefix('10.5.13.0/24') };

  it('a new subnet spares the addresses that this host needs, also where it was handed off before', () => {
    expect(chosen([])).toBe('claim 10.5.10.0/24');
    const gateway = prefix('10.5.10.254/32');
    expect(chosen([], { spared: [gateway] })).toBe('claim 10.5.11.0/24');
    expect(chosen([], { spared: [gateway, prefix('10.5.12.0/23')], previous })).toBe('claim 10.5.11.0/24');
    expect(chosen([], { spared: [prefix('10.5.8.0/21')] })).toBe('full');
  });
  const former = { ...moved, session: 'former' };

  it.each<[string, readonly Lease[], Partial<ChoiceInput>, string]>([
    ['our own lease before all others', [namesake, moved, ours], { previous }, 'keep 10.5.10.0-24'],
    ['a lease of flannel at our address', [leaseOf('10.5.12.0/24', HERE)], {}, 'keep 10.5.12.0-24'],
    [
      'our own lease also where its subnet was found taken: a late request of our last run took it',
      [ours],
      { taken: [ours.subnets] },
      'keep 10.5.10.0-24',
    ],
    ['our own lease from another address', [moved], { previous }, 'ask 10.5.11.0-24 moved'],
    [
      "no lease of both families, as it may be over another node's subnet",
      [
        { ...ours, key: '10.5.10.0-24&fd00::-64', subnets: { ...ours.subnets, ipv6: prefix('fd00::/64') } },
        moved,
      ],
      { previous },
      'ask 10.5.11.0-24 moved',
    ],
    [
      'a lease at our address before all others',
      [moved, namesake],
      { previous },
      'ask 10.5.12.0-24 namesake',
    ],
    [
      'our own lease from another address after a silent one at ours',
      [moved, namesake],
      { previous, silent: namesake },
      'ask 10.5.11.0-24 moved',
    ],
    [
      'the silent lease at our address if there is no better one',
      [namesake, clone],
      { silent: namesake },
      'keep 10.5.12.0-24',
    ],
    [
      'our subnet of this run before any question',
      [moved, namesake],
      { previous, last: { ...ours, ...previous, key: '10.5.13.0-24' } },
      'claim 10.5.13.0/24',
    ],
    [
      'a node with our address that took the subnet of this run',
      [moved, namesake],
      { previous: namesake.subnets, last: { ...ours, key: namesake.key } },
      'ask 10.5.12.0-24 namesake',
    ],
    [
      'our subnet of this run, and not a silent lease at our address',
      [namesake],
      { previous, silent: namesake, last: { ...ours, ...previous } },
      'claim 10.5.13.0/24',
    ],
    ['a lease at our address of another node', [namesake], { previous }, 'ask 10.5.12.0-24 namesake'],
    [
      'a lease at our address of a clone or of our former card',
      [leaseOf('10.5.12.0/24', HERE, CLONE)],
      { previous },
      'ask 10.5.12.0-24 namesake',
    ],
    [
      'our own lease under another host name',
      [leaseOf('10.5.12.0/24', HERE, { ...SELF, name: 'dhcp-7' })],
      {},
      'keep 10.5.12.0-24',
    ],
    ['no lease of a clone', [clone], {}, 'claim 10.5.10.0/24'],
    [
      'no lease of a clone where another subnet is the previous one',
      [clone],
      { previous: moved.subnets },
      'claim 10.5.11.0/24',
    ],
    ['the previous subnet where a clone may have it', [clone], { previous }, 'ask 10.5.13.0-24 clone'],
    [
      'no lease of a clone, which slipped away as one at our address',
      [clone],
      { missed: previous },
      'claim 10.5.10.0/24',
    ],
    [
      'the subnet of a lease that slipped away, where it is free',
      [],
      { missed: previous },
      'claim 10.5.13.0/24',
    ],
    [
      'no lease of a clone that took our subnet in this run',
      [clone],
      { previous, last: { ...ours, ...previous } },
      'claim 10.5.10.0/24',
    ],
    [
      'the newest of several leases from other addresses',
      [moved, { ...leaseOf('10.5.10.0/24', '192.168.77.8', SELF), revision: 7 }],
      {},
      'ask 10.5.10.0-24 moved',
    ],
    [
      'the previous subnet among several leases of ours',
      [{ ...ours, revision: 7 }, leaseOf('10.5.13.0/24', HERE, SELF)],
      { previous },
      'keep 10.5.13.0-24',
    ],
    [
      'nothing to ask about after enough questions',
      [moved, namesake],
      { mayAsk: false },
      'claim 10.5.10.0/24',
    ],
    ['the previous subnet', [], { previous }, 'claim 10.5.13.0/24'],
    [
      'any free one beside leases that are no node’s',
      [leaseOf('10.5.0.0/16', ELSEWHERE)],
      {},
      'claim 10.5.10.0/24',
    ],
    [
      'a subnet that no such lease overlaps, if there is one',
      [leaseOf('10.5.8.0/22', ELSEWHERE), leaseOf('10.5.12.9/32', ELSEWHERE)],
      {},
      'claim 10.5.13.0/24',
    ],
    [
      'no subnet in which another node has its address',
      [leaseOf('10.5.11.0/24', '10.5.10.9')],
      {},
      'claim 10.5.12.0/24',
    ],
    [
      'one of many leases of flannel at our address: the oldest',
      [
        leaseOf('10.5.11.0/24', HERE, undefined, { revision: 9, created: 7 }),
        leaseOf('10.5.12.0/24', HERE, undefined, { revision: 8, created: 3 }),
      ],
      {},
      'keep 10.5.12.0-24',
    ],
    [
      'a lease with our identity before one of flannel at our address',
      [
        leaseOf('10.5.11.0/24', HERE, undefined, { created: 3 }),
        leaseOf('10.5.12.0/24', HERE, SELF, { created: 7 }),
      ],
      {},
      'keep 10.5.12.0-24',
    ],
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
    const flannels = leaseOf('10.5.9.0/24', HERE);
    const reserved = leaseOf('10.5.8.0/25', HERE, SELF, { session: undefined });
    const all = [ours, moved, namesake, clone, flannels, reserved, ...others];
    expect(findMisfits(all, config, US)).toEqual([ours]);
    const many = Array.from({ length: 100 }, (_, i) => leaseOf(`10.5.9.${i}/32`, HERE, SELF));
    expect(findMisfits(many, config, US)).toHaveLength(LIMITS.misfits);
  });
});
