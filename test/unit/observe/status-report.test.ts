// The JSON form of a node's state, and the answers of the status socket.
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../agent/model/condition.ts';
import type { PeerPage, StatusReport } from '../../../agent/model/status-report.ts';
import { createReadiness } from '../../../agent/observe/readiness.ts';
import { answerDiff, answerPeer, answerPeers, answerStatus } from '../../../agent/observe/status-answers.ts';
import {
  nodeState,
  peerFault,
  peerLease,
  reportOf,
  statusFaults,
  statusInput,
} from '../../support/status.ts';

const leases = (count: number) => Array.from({ length: count }, (_, i) => peerLease(i + 1));
const page = (input: ReturnType<typeof statusInput>, query: string): PeerPage =>
  JSON.parse(answerPeers(input, new URL(`http://twill/v1/peers${query}`)).body) as PeerPage;

describe('the report of a node', () => {
  it('the report of a ready node satisfies the schema, with times of the wall clock', () => {
    const report = reportOf({ leases: [peerLease(1), peerLease(7)] });
    expect(statusFaults(report)).toEqual([]);
    expect(report).toMatchObject({
      at: '2026-11-30T12:00:00Z',
      node: { name: 'h1', ready: true, since: '2026-11-30T09:59:00Z', startedAt: '2026-11-30T09:58:55Z' },
      lease: { subnet: '10.5.1.0/24', kind: 'leased', expiresAt: '2026-12-01T11:12:00Z' },
      store: { lastHeardAt: '2026-11-30T11:59:56Z' },
      peers: {
        total: 1,
        planned: 1,
        list: [{ name: 'h7', state: 'planned', since: null, rttSeconds: null }],
      },
    });
    expect(report.kernel.repairs[0]?.change).toContain('10.5.91.0/24');
  });

  it('an unknown is null and not left out', () => {
    const nothing = {
      host: undefined,
      config: undefined,
      backend: undefined,
      subnets: undefined,
      term: undefined,
    };
    const report = reportOf({
      ...nothing,
      firewall: undefined,
      store: { isConnected: false, heardMs: undefined },
      conditions: [{ part: 'start', state: 'waiting', reason: 'starting' }],
    });
    expect(statusFaults(report)).toEqual([]);
    expect(report.lease).toEqual({ subnet: null, network: null, kind: null, expiresAt: null });
    expect(report.node.conditions[0]?.since).toBeNull();
  });

  it('the schema refuses a member that is missing, unknown or of another type', () => {
    const { lease: _, ...rest } = reportOf();
    const broken = { ...rest, extra: 1, at: 'yesterday', kernel: { ...rest.kernel, objects: '1' } };
    expect(statusFaults(broken)).toEqual([
      '$.lease: is missing',
      '$.at: is no time',
      '$.kernel.objects: is no integer',
      '$.extra: is not in the schema',
    ]);
  });

  it('each peer has the state of its fault, and all faults are listed before others of 300', () => {
    const report = reportOf({
      leases: [...leases(298), peerLease(299, 'f1', 'host-gw'), peerLease(300)],
      peerConditions: [peerFault(9, 'too far'), peerFault(200, 'refused', 'kernel')],
    });
    expect(statusFaults(report)).toEqual([]);
    expect(report.peers).toMatchObject({ total: 299, planned: 296, leftOut: 1, refused: 1, otherBackend: 1 });
    expect(report.peers.list.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'h9 leftOut',
      'h200 refused',
      'f1 otherBackend',
    ]);
    expect(report.peers.list[0]?.since).toBe('2026-11-30T11:56:00Z');
  });
});

describe('the answers of the status socket', () => {
  const input = statusInput(nodeState({ leases: leases(300), peerConditions: [peerFault(9, 'too far')] }));

  it('the status is JSON of the schema', () => {
    const { status, body } = answerStatus(input);
    expect([status, statusFaults(JSON.parse(body) as StatusReport)]).toEqual([200, []]);
  });

  it('pages of peers are in the order of the subnets, and join without a gap', () => {
    const first = page(input, '?limit=200');
    const second = page(input, `?limit=200&after=${first.next}`);
    expect([first.peers.length, second.peers.length, second.next]).toEqual([200, 99, null]);
    const numbers = [...first.peers, ...second.peers].map(({ name }) => Number(name?.slice(1)));
    expect(numbers).toEqual(Array.from({ length: 299 }, (_, i) => i + 2));
  });

  it('a state chooses peers', () => {
    expect(page(input, '?state=leftOut').peers.map(({ name }) => name)).toEqual(['h9']);
  });

  it.each([
    ['?limit=0', 'limit: must be a number from 1 to 1000'],
    ['?limit=1001', 'limit: must be a number from 1 to 1000'],
    ['?state=down', 'state: must be one of planned, leftOut, refused, otherBackend'],
  ])('the question %s is refused', (query, error) => {
    const answer = answerPeers(input, new URL(`http://twill/v1/peers${query}`));
    expect([answer.status, JSON.parse(answer.body)]).toEqual([400, { error }]);
  });

  it.each([
    ['h9', 200],
    ['10.5.9.0', 200],
    ['10.5.9.0%2F24', 200],
    ['192.168.77.9', 200],
    ['h999', 404],
    ['%ff', 404],
  ])('the peer %s answers %d', (what, status) => {
    const answer = answerPeer(input, new URL(`http://twill/v1/peers/${what}`));
    expect(answer.status).toBe(status);
    if (status === 200)
      expect(JSON.parse(answer.body)).toMatchObject({ peers: [{ name: 'h9' }], next: null });
  });

  it('a difference is a list of changes, or says that nothing is planned or the kernel does not answer', async () => {
    const said = async (difference: Parameters<typeof answerDiff>[0]) => {
      const { status, body } = await answerDiff(difference);
      return [status, JSON.parse(body)];
    };
    expect(await said(async () => ['+ x'])).toEqual([200, { schema: 'twill.status/1', changes: ['+ x'] }]);
    expect(await said(async () => undefined)).toEqual([503, { error: 'the agent has planned nothing yet' }]);
    expect(
      await said(async () => {
        throw new Error('no buffer space');
      }),
    ).toEqual([503, { error: 'no buffer space' }]);
  });
});

describe('readiness', () => {
  it('readiness lasts since the change that a look noticed, and its end since the first condition', () => {
    let nowMs = 1_000;
    let conditions: readonly Condition[] = [{ part: 'a', state: 'waiting', reason: 'starting' }];
    const readiness = createReadiness(() => conditions, { monotonicMs: () => nowMs });
    expect(readiness.look()).toEqual({ reason: 'starting', sinceMs: 1_000 });
    nowMs = 3_000;
    conditions = [];
    expect(readiness.look()).toEqual({ reason: undefined, sinceMs: 3_000 });
    nowMs = 9_000;
    conditions = [
      { part: 'a', state: 'failing', reason: 'x', sinceMs: 8_000 },
      { part: 'b', state: 'failing', reason: 'y', sinceMs: 7_000 },
    ];
    expect(readiness.look()).toEqual({ reason: 'x', sinceMs: 7_000 });
  });
});
