// The data plane of the last run: when it goes on, when it ends, and the record for the next run.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../../agent/base/log.ts';
import type { Backend, DataPlane, DataPlaneInput } from '../../../agent/model/backend.ts';
import type { DataPlaneRecord } from '../../../agent/model/data-plane-memory.ts';
import { formatPrefix } from '../../../agent/model/ip.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { single } from '../../../agent/model/metrics.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { planesOf } from '../../../agent/model/plane.ts';
import { DataPlaneKeeper } from '../../../agent/node/data-plane-keeper.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { createPlanner } from '../../../agent/node/planner.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts, lease, leaseAttrs, OVERLAYS, prefix } from '../../support/build.ts';

const FACTS = hostFacts();
const PLANES = planesOf(FACTS, OVERLAYS, { ipv4: prefix('10.5.1.0/24') });
const CONFIG = configOf({ Type: 'user', Port: 1 });
const REINSTALLED = { ...FACTS.node, id: '00000000000000bb' };
const OUR_LEASE = lease('10.5.1.0/24', leaseAttrs('192.168.77.1', { node: FACTS.node }));
const PEER = lease('10.5.2.0/24', leaseAttrs('192.168.77.2', { backendType: 'user' }));
const LATER_PEER = lease('10.5.3.0/24', leaseAttrs('192.168.77.3', { backendType: 'user' }));

const [PLANE] = PLANES;
if (PLANE === undefined) throw new Error('no plane');
const RECORD: DataPlaneRecord = {
  backend: CONFIG.backend,
  input: { planes: [{ plane: PLANE, peers: [] }] },
};

function configOf(backend: object, network = '10.5.0.0/16') {
  return parseNetworkConfig(JSON.stringify({ Network: network, Backend: backend }), 'config');
}

/** The peers' subnets, as text. */
function peersOf(input: DataPlaneInput | undefined): string | undefined {
  return input?.planes.flatMap(({ peers }) => peers.map(({ subnet }) => formatPrefix(subnet))).join(' ');
}

describe('the keeper of a data plane', () => {
  let clock: VirtualClock;
  let keeper: DataPlaneKeeper;
  let end: AbortController;
  /** What happened to data planes, in order. */
  let events: string[];
  let lines: string[];
  /** The record for the next run. */
  let remembered: DataPlaneRecord | undefined;
  let writes = 0;
  let refusesWrites = false;

  const dataPlane = (name: string): DataPlane => ({
    update: (input) => events.push(`${name} updated: ${peersOf(input)}`),
    trouble: () => undefined,
    metrics: () => [single('twill_udp_packets_total', 7)],
    [Symbol.asyncDispose]: async () => {
      await clock.sleep(10);
      events.push(`${name} closed`);
    },
  });
  const kernelBackend: Backend = {
    type: 'host-gw',
    announce: () => undefined,
    mtuBytes: () => 1400,
    own: () => [],
    peer: () => [],
  };
  const backend: Backend = {
    ...kernelBackend,
    type: 'user',
    openDataPlane: async (input) => {
      events.push(`new opened: ${peersOf(input)}`);
      return dataPlane('new');
    },
  };
  const start = (resumed: DataPlaneRecord | undefined): void => {
    remembered = resumed;
    keeper = new DataPlaneKeeper({
      memory: {
        resumed: resumed && { ...resumed, dataPlane: dataPlane('resumed') },
        write: async (record) => {
          writes++;
          if (refusesWrites) throw new Error('no space');
          remembered = record;
        },
      },
      clock,
      log: createLogger('test', { level: 'debug', format: 'text' }, (line) => lines.push(line.slice(25))),
    });
    keeper.run(end.signal).catch(() => undefined);
  };
  const want = async (leases: readonly Lease[]): Promise<void> => {
    keeper.noticeLeases(leases, FACTS);
    const planner = createPlanner({ backend, overlays: OVERLAYS, blackholeRoute: false });
    planner.plan(FACTS, { ipv4: prefix('10.5.1.0/24') }, leases);
    const wanted = keeper.want(backend, CONFIG, {
      planes: PLANES,
      peers: (plane) => planner.peers(plane),
    });
    await clock.advance(100);
    await wanted;
  };

  beforeEach(() => {
    clock = createVirtualClock();
    end = new AbortController();
    [events, lines] = [[], []];
    [writes, refusesWrites] = [0, false];
  });
  afterEach(() => end.abort());

  it('the data plane keeper resumes the data plane of the last run with the present peers', async () => {
    start(RECORD);
    expect(keeper.isOpen).toBe(true);
    expect(keeper.metrics()).toEqual([single('twill_udp_packets_total', 7)]);
    keeper.use(backend, CONFIG);
    await want([OUR_LEASE, PEER]);
    await want([OUR_LEASE, PEER, LATER_PEER]);
    expect(events).toEqual(['resumed updated: 10.5.2.0/24', 'resumed updated: 10.5.2.0/24 10.5.3.0/24']);
  });

  it.each([
    ['another backend', configOf({ Type: 'host-gw' })],
    ['another option of the backend', configOf({ Type: 'user', Port: 2 })],
    ['another network', configOf({ Type: 'user', Port: 1 }, '10.6.0.0/16')],
  ])(
    'the data plane keeper ends the data plane of the last run when the configuration has %s',
    async (_, config) => {
      start(RECORD);
      keeper.use(backend, config);
      expect(keeper.isOpen).toBe(false);
      await want([OUR_LEASE, PEER]);
      expect(events).toEqual(['resumed closed', 'new opened: 10.5.2.0/24']);
    },
  );

  it('the data plane keeper leaves no record where the kernel moves the packets', async () => {
    start(RECORD);
    keeper.use(kernelBackend, configOf({ Type: 'host-gw' }));
    await clock.advance(100);
    expect(events).toEqual(['resumed closed']);
    expect(remembered).toBeUndefined();
  });

  it("the data plane keeper ends the data plane when its subnet is another node's, and leaves no record", async () => {
    start(RECORD);
    keeper.noticeLeases([PEER, lease('10.5.1.0/24', leaseAttrs('192.168.77.9'))], FACTS);
    expect(keeper.isOpen).toBe(false);
    await clock.advance(100);
    expect(events).toEqual(['resumed closed']);
    expect(remembered).toBeUndefined();
    expect(lines.join()).toContain('is another node');
  });

  it("the data plane keeper ends the data plane when its subnet is another Node's of Kubernetes", () => {
    start(RECORD);
    keeper.noticeLeases([lease('10.5.1.0/24', leaseAttrs('192.168.77.9'), { key: 'n2' })], FACTS);
    expect(keeper.isOpen).toBe(false);
  });

  it("the data plane keeper ends the data plane when its subnet is a clone's", async () => {
    start(RECORD);
    const clone = { ...FACTS.node, mac: '02:00:00:00:00:09' };
    keeper.noticeLeases([lease('10.5.1.0/24', leaseAttrs('192.168.77.9', { node: clone }))], FACTS);
    expect(keeper.isOpen).toBe(false);
  });

  it.each([
    ['is ours', [OUR_LEASE, PEER]],
    ["is nobody's", [PEER]],
    ["is within another node's lease", [lease('10.5.0.0/16', leaseAttrs('192.168.77.9'))]],
    ["contains another node's lease", [lease('10.5.1.0/25', leaseAttrs('192.168.77.9'))]],
    [
      "is another node's by a second key",
      [
        lease('10.5.1.0/24', leaseAttrs('192.168.77.9'), {
          key: '10.5.1.0-24&fd00:5:1::-64',
          subnets: { ipv4: prefix('10.5.1.0/24'), ipv6: prefix('fd00:5:1::/64') },
        }),
      ],
    ],
    ['was ours at another address', [lease('10.5.1.0/24', leaseAttrs('192.168.77.9', { node: FACTS.node }))]],
    [
      'has our address and another machine id',
      [lease('10.5.1.0/24', leaseAttrs('192.168.77.1', { node: REINSTALLED }))],
    ],
  ])('the data plane keeper keeps the data plane while its subnet %s', async (_, leases) => {
    start(RECORD);
    keeper.noticeLeases(leases, FACTS);
    await clock.advance(3_600_000);
    expect(events).toEqual([]);
    expect(keeper.isOpen).toBe(true);
    // An unconfirmed record keeps its age.
    expect(writes).toBe(0);
  });

  it('the data plane keeper opens a missing data plane, and closes it with its subnet', async () => {
    start(undefined);
    expect(keeper.isOpen).toBe(false);
    await want([OUR_LEASE, PEER]);
    expect(remembered?.backend).toEqual(CONFIG.backend);
    expect(peersOf(remembered?.input)).toBe('10.5.2.0/24');
    void keeper.withdraw();
    await clock.advance(LIMITS.recordPauseMs);
    expect(events).toEqual(['new opened: 10.5.2.0/24', 'new closed']);
    expect(remembered).toBeUndefined();
  });

  it('the data plane keeper leaves the record for the next run when it stops', async () => {
    start(undefined);
    await want([OUR_LEASE, PEER]);
    void keeper[Symbol.asyncDispose]();
    await clock.advance(LIMITS.recordPauseMs);
    expect(events.at(-1)).toBe('new closed');
    expect(peersOf(remembered?.input)).toBe('10.5.2.0/24');
  });

  it('the data plane keeper records many changes in few writes, the last change included', async () => {
    start(undefined);
    for (let i = 0; i < 10; i++) await want(i % 2 === 0 ? [PEER, LATER_PEER] : [PEER]);
    await clock.advance(LIMITS.recordPauseMs);
    expect(writes).toBe(2);
    expect(peersOf(remembered?.input)).toBe('10.5.2.0/24');
  });

  it('the data plane keeper writes the record again before it is too old, without any change', async () => {
    start(undefined);
    await want([PEER]);
    await clock.advance(10 * LIMITS.recordAgainMs);
    expect(writes).toBeGreaterThanOrEqual(10);
    expect(writes).toBeLessThanOrEqual(11);
  });

  it('the data plane keeper logs a failed write once, and writes when it can', async () => {
    refusesWrites = true;
    start(undefined);
    await want([PEER]);
    await clock.advance(10 * LIMITS.retryBackoff.maxMs);
    expect(lines.filter((line) => line.includes('no space'))).toHaveLength(1);
    refusesWrites = false;
    await clock.advance(LIMITS.retryBackoff.maxMs);
    expect(peersOf(remembered?.input)).toBe('10.5.2.0/24');
  });
});
