// The text of `twill status`, at several widths.
import { describe, expect, it } from 'vitest';
import { paint } from '../../agent/base/terminal.ts';
import { ageOf, formatPeer, formatStatus } from '../../agent/cli/status-text.ts';
import type { NodeState } from '../../agent/model/status.ts';
import { peerFault, peerLease, reportOf } from '../support/status.ts';

const NESTED = 'its public address is in the subnet of the lease 10.5.9.0-24: no route leads there';
const HOSTILE = 'evil\u202e\n"name\u001b[31m';
const FEW: Partial<NodeState> = {
  leases: [
    ...[1, 7, 9, 12].map((n) => peerLease(n)),
    peerLease(22, 'f2', 'host-gw'),
    peerLease(30, HOSTILE),
    peerLease(31, 'n'.repeat(253)),
  ],
  peerConditions: [peerFault(7, NESTED), peerFault(9, 'refused', 'kernel')],
};

const text = (state: Partial<NodeState>, columns: number | undefined): string =>
  formatStatus(reportOf(state), { columns })
    .map((line) => `${line.text}\n`)
    .join('');

const at80 = `h1  ready for 2 h 1 min  twill 0.1.0, up 2 h 1 min
lease    10.5.1.0/24 of 10.5.0.0/16, ends in 23 h 12 min
store    etcd, connected, news 4 s ago
backend  vxlan flannel.1 mtu 1450 over eth0 192.168.77.1 mtu 1500
kernel   149 objects, 3 repaired, last 2 h 0 min ago: + route 10.5.91.0/24 via …
rules    nftables, in place
peers    6: 3 planned, 1 left out, 1 refused, 1 other backend
`;

describe('the text of a status', () => {
  it('the text fits 80 columns, but for reasons, and a hostile name stays in its place', () => {
    expect(
      text(FEW, 80),
    ).toBe(`${at80}  PEER                      SUBNET        ADDRESS        STATE          SINCE
✗ h7                        10.5.7.0/24   192.168.77.7   left out       4 min
    its public address is in the subnet of the lease 10.5.9.0-24: no route leads there
✗ h9                        10.5.9.0/24   192.168.77.9   refused        4 min
    refused
  h12                       10.5.12.0/24  192.168.77.12  planned        -
· f2                        10.5.22.0/24  192.168.77.22  other backend  -
    it uses the backend host-gw
  evil "name [31m           10.5.30.0/24  192.168.77.30  planned        -
  nnnnnnnnnnnnnnnnnnnnnnn…  10.5.31.0/24  192.168.77.31  planned        -
`);
  });

  it('a narrow terminal shows neither addresses nor ages of peers, a wide one shows backends too', () => {
    const narrow = text(FEW, 60).split('\n');
    expect(narrow).toContain('✗ h7                        10.5.7.0/24   left out');
    expect(Math.max(...narrow.filter((line) => !line.startsWith('    ')).map(({ length }) => length))).toBe(
      60,
    );
    expect(text(FEW, 200)).toContain(
      `✗ h7                        10.5.7.0/24   192.168.77.7   vxlan    left out       4 min  ${NESTED}\n`,
    );
  });

  it('a pipe cuts no line', () => {
    expect(text(FEW, undefined)).toContain('+ route 10.5.91.0/24 via 10.5.91.0 dev flannel.1 onlink\n');
    expect(text(FEW, undefined)).toContain(`left out       4 min  ${NESTED}\n`);
  });

  it('of 300 peers the faulty ones are listed, and the rest is counted', () => {
    const leases = Array.from({ length: 300 }, (_, i) => peerLease(i + 1));
    const lines = text({ leases, peerConditions: [peerFault(299, NESTED)] }, 80).split('\n');
    expect(lines.slice(6)).toEqual([
      'peers    299: 298 planned, 1 left out',
      '  PEER  SUBNET        ADDRESS        STATE     SINCE',
      '✗ h299  10.6.45.0/24  192.168.78.45  left out  4 min',
      `    ${NESTED}`,
      '  298 more; --all lists them',
      '',
    ]);
  });

  it('conditions say since when, and a node that knows nothing says so', () => {
    const shown = text(
      {
        conditions: [
          { part: 'datastore', state: 'failing', reason: 'etcd\ndoes not answer', sinceMs: 7_225_000 },
          { part: 'lease', state: 'waiting', reason: 'waiting for a lease' },
        ],
        host: undefined,
        config: undefined,
        backend: undefined,
        subnets: undefined,
        term: undefined,
        store: { isConnected: false, heardMs: undefined },
        kernel: { objects: 0, device: undefined, repaired: 0, repairs: [] },
        firewall: undefined,
      },
      80,
    );
    expect(shown).toBe(`-  not ready for 2 h 1 min  twill 0.1.0, up 2 h 1 min
✗ datastore: etcd does not answer (40 s)
! lease: waiting for a lease
lease    - of -, not held
store    etcd, not connected, no news yet
backend  - mtu - over - - mtu -
kernel   0 objects, 0 repaired
rules    none
peers    0: 0 planned
`);
  });

  it('one peer is shown with all its facts, a line each', () => {
    const [peer] = reportOf({ leases: [peerLease(30, HOSTILE)] }).peers.list;
    const lines = peer === undefined ? [] : formatPeer(peer);
    expect(lines.map((line) => line.text)).toEqual([
      'peer     evil "name [31m',
      'subnet   10.5.30.0/24',
      'address  192.168.77.30',
      'backend  vxlan',
      'state    planned',
      'reason   -',
      'since    -',
    ]);
  });

  it.each([
    ['00:00:00', '0 s'],
    ['00:00:59', '59 s'],
    ['00:01:00', '1 min'],
    ['23:12:00', '23 h 12 min'],
  ])('an age of %s is %s', (time, expected) => {
    expect(ageOf(`2026-01-01T${time}Z`, '2026-01-01T00:00:00Z')).toBe(expected);
    // The clock was set back meanwhile.
    expect(ageOf('2026-01-01T00:00:00Z', `2026-01-01T${time}Z`)).toBe('0 s');
  });

  it('only colours and clearing control a terminal', () => {
    const lines = [{ text: HOSTILE, tone: 'bad' as const }, { text: 'plain' }];
    expect(paint(lines, { clears: true, colours: true })).toBe(
      '\u001b[H\u001b[J\u001b[31mevil "name [31m\u001b[0m\nplain\n',
    );
    expect(paint(lines, { clears: false, colours: false })).toBe('evil "name [31m\nplain\n');
  });
});
