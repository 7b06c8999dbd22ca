// The lease of this node in Kubernetes: its podCIDR, and its annotations.
import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import { prefix } from '../../support/build.ts';
import { vxlanAnnotations } from '../../support/node-json.ts';
import { holderBed, ownAttrs } from './holder-bed.ts';

const ANNOUNCED = vxlanAnnotations('192.168.77.2');
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

describe('the subnet of a node', () => {
  it('is its podCIDR, which is awaited', async () => {
    const bed = await holderBed({ node: { podCidrs: [] } });
    expect(bed.subnet()).toBeUndefined();
    expect(bed.reason()).toBe(
      `waiting for a podCIDR of Node n1: start kube-controller-manager with --allocate-node-cidrs, or assign a free one: kubectl patch node n1 -p '{"spec":{"podCIDR":"10.244.1.0/24"}}'`,
    );
    expect(bed.lines.join()).toContain('--allocate-node-cidrs');
    await bed.clock.advance(MINUTE);
    expect(bed.writes).toEqual([]);
    await bed.put({ podCidrs: ['10.244.7.0/24'] });
    expect([bed.subnet(), bed.reason()]).toEqual(['10.244.7.0/24', undefined]);
    expect(bed.writes).toEqual([ANNOUNCED]);
  });

  it('is awaited where there is no Node yet', async () => {
    const bed = await holderBed({ node: undefined });
    expect(bed.reason()).toContain('Node n1 does not exist');
    await bed.put({});
    expect(bed.subnet()).toBe('10.244.1.0/24');
  });

  it.each([
    [['10.5.1.0/24'], 'Node n1: its podCIDR 10.5.1.0/24 is outside of Network 10.244.0.0/16'],
    [['10.244.1.0/24', 'fd00::/64', '10.244.2.0/24'], 'Node n1: it has more than two podCIDRs'],
    [['fd00:1::/64'], 'Node n1: it has no podCIDR of IPv4, but fd00:1::/64 alone'],
    [['10.244.300.0/24'], 'Node n1: podCIDR must be a prefix such as 10.244.1.0/24, is "10.244.300.0/24"'],
    [['10.244.64.0/24'], 'Node n1: its podCIDR 10.244.64.0/24 overlaps 10.244.64.5/32, which this host'],
  ])('is none of the podCIDRs %j', async (podCidrs, reason) => {
    const bed = await holderBed({ node: { podCidrs }, spared: [prefix('10.244.64.5/32')] });
    expect(bed.holder.conditions()).toMatchObject([
      { state: 'failing', reason: expect.stringContaining(reason) },
    ]);
    expect([bed.subnet(), bed.writes]).toEqual([undefined, []]);
  });

  it('stays while the Node is away, and while it has no podCIDR', async () => {
    const bed = await holderBed();
    const { subnets } = bed.holder;
    await bed.put(undefined);
    expect(bed.reason()).toContain('Node n1 does not exist');
    await bed.put({ uid: 'another', podCidrs: [], annotations: {} });
    expect(bed.reason()).toContain('waiting for a podCIDR');
    await bed.clock.advance(MINUTE);
    expect(bed.holder.subnets).toBe(subnets);
    expect(bed.writes).toEqual([ANNOUNCED]);
    await bed.put({ podCidrs: ['10.244.1.0/24'] });
    expect([bed.holder.subnets, bed.reason(), bed.changes]).toEqual([subnets, undefined, 0]);
    expect(bed.holder.subnets).toBe(subnets);
    expect(bed.writes).toEqual([ANNOUNCED, ANNOUNCED]);
  });

  it('is another one when the Node was made again with another podCIDR', async () => {
    const bed = await holderBed();
    await bed.put({ uid: 'another', podCidrs: ['10.244.9.0/24'], annotations: {} });
    expect([bed.subnet(), bed.reason(), bed.changes]).toEqual(['10.244.9.0/24', undefined, 1]);
    expect(bed.writes).toEqual([ANNOUNCED, ANNOUNCED]);
    expect(bed.lines.join()).toContain(
      'this Node has another podCIDR: running containers keep addresses of the former one subnet=10.244.9.0/24 former=10.244.1.0/24',
    );
  });
});

describe('the annotations of a node', () => {
  it('are not written where they are right', async () => {
    const bed = await holderBed({ node: { annotations: ANNOUNCED } });
    expect([bed.writes, bed.reason()]).toEqual([[], undefined]);
  });

  it('are written alone that differ', async () => {
    const bed = await holderBed({ node: { annotations: { ...ANNOUNCED, 'public-ip': '192.168.77.9' } } });
    expect(bed.writes).toEqual([{ 'public-ip': '192.168.77.2' }]);
  });

  it('follow the announcement', async () => {
    const bed = await holderBed();
    bed.holder.announce(ownAttrs('192.168.77.5'));
    await bed.clock.advance(100);
    expect(bed.writes).toEqual([ANNOUNCED, { 'public-ip': '192.168.77.5' }]);
    expect(bed.holder.rewrites).toBe(0);
  });

  it('are put back at once when somebody overwrites them, with a line and a count', async () => {
    const bed = await holderBed();
    await bed.put({ annotations: { ...ANNOUNCED, 'backend-data': 'old' } });
    expect(bed.node?.annotations).toEqual(ANNOUNCED);
    expect(bed.lines.at(-1)).toContain(
      'others had changed our part of the own Node: wrote it again backend-data=',
    );
    await bed.put({ annotations: {} });
    await bed.clock.advance(5 * SECOND);
    expect(bed.node?.annotations).toEqual(ANNOUNCED);
    expect(bed.holder.rewrites).toBe(2);
  });

  it('are no reason for a fight: who overwrites them each second gets few answers', async () => {
    const bed = await holderBed();
    for (let second = 0; second < 600; second++) {
      await bed.put({ annotations: {} });
      await bed.clock.advance(SECOND - 100);
    }
    expect(bed.holder.rewrites).toBeGreaterThan(8);
    expect(bed.holder.rewrites).toBeLessThan(25);
    const named = bed.lines.filter((line) => line.includes('another program writes into Node n1 again'));
    expect(named).toEqual([expect.stringContaining('public-ip=missing')]);
    await bed.clock.advance(MINUTE);
    expect(bed.node?.annotations).toEqual(ANNOUNCED);
  });

  it('are not taken for overwritten while the watch lags behind a write', async () => {
    const bed = await holderBed({ node: { podCidrs: [] } });
    bed.lag();
    await bed.put({ podCidrs: ['10.244.1.0/24'] });
    await bed.clock.advance(9 * SECOND);
    expect([bed.writes.length, bed.reason()]).toEqual([1, undefined]);
    // A watch that tells nothing of it for long is believed.
    await bed.clock.advance(5 * SECOND);
    expect(bed.writes.length).toBe(2);
  });

  it('name the address that an operator has overwritten, as soon as that changes', async () => {
    const bed = await holderBed();
    await bed.put({ annotations: { ...ANNOUNCED, 'public-ip-overwrite': '203.0.113.7' } });
    expect(bed.node?.annotations['public-ip']).toBe('203.0.113.7');
    await bed.put({ annotations: { ...bed.node?.annotations, 'public-ip-overwrite': '203.0.113.8' } });
    expect(bed.node?.annotations['public-ip']).toBe('203.0.113.8');
    const { 'public-ip-overwrite': _, ...rest } = bed.node?.annotations ?? {};
    await bed.put({ annotations: rest });
    expect([bed.node?.annotations, bed.holder.rewrites]).toEqual([ANNOUNCED, 0]);
  });

  it('do not name an overwritten address that is none', async () => {
    const bed = await holderBed();
    await bed.put({ annotations: { ...ANNOUNCED, 'public-ip-overwrite': 'x.example' } });
    await bed.put({ networkUnavailable: 'Unknown' });
    expect(bed.node?.annotations['public-ip']).toBe('192.168.77.2');
    expect(bed.lines.filter((line) => line.includes('public-ip-overwrite'))).toEqual([
      'warn  lease: the annotation public-ip-overwrite of this Node must be an IPv4 address that other hosts can reach, is "x.example": it has no effect',
    ]);
  });

  it('are tried again with growing pauses where the API refuses them, and the condition names the verb', async () => {
    const bed = await holderBed({ node: { podCidrs: [] } });
    const hint = 'its ClusterRole needs the verb patch on nodes/status';
    bed.refuse(
      new ApiError('forbidden', 'cannot patch nodes/status at https://api: HTTP status 403', { hint }),
    );
    await bed.put({ podCidrs: ['10.244.1.0/24'] });
    expect(bed.subnet()).toBe('10.244.1.0/24');
    expect(bed.holder.conditions()).toMatchObject([
      { state: 'failing', reason: expect.stringContaining(hint) },
    ]);
    await bed.clock.advance(10 * MINUTE);
    expect(bed.writes.length).toBeLessThan(40);
    expect(bed.lines.filter((line) => line.includes('403'))).toHaveLength(1);
    bed.refuse(undefined);
    await bed.clock.advance(MINUTE);
    expect(bed.reason()).toBeUndefined();
  });

  it('wait for as long as a busy server asks', async () => {
    const bed = await holderBed({ node: { podCidrs: [] } });
    bed.refuse(new ApiError('busy', 'HTTP status 429', { retryAfterMs: 20 * SECOND }));
    await bed.put({ podCidrs: ['10.244.1.0/24'] });
    await bed.clock.advance(19 * SECOND);
    expect(bed.writes.length).toBe(1);
  });
});

describe('the condition NetworkUnavailable of a node', () => {
  it('is set when the node is ready, and again when somebody sets it otherwise', async () => {
    const bed = await holderBed({ node: { annotations: ANNOUNCED, networkUnavailable: 'True' } });
    await bed.clock.advance(MINUTE);
    expect(bed.writes).toEqual([]);
    bed.holder.noticeReady();
    await bed.clock.advance(100);
    expect([bed.writes, bed.node?.networkUnavailable]).toEqual([['available'], 'False']);
    await bed.put({ networkUnavailable: 'True' });
    expect([bed.writes.length, bed.node?.networkUnavailable, bed.holder.rewrites]).toEqual([2, 'False', 1]);
  });

  it('is not written where it is False, and never where it must not be', async () => {
    const right = await holderBed({ node: { annotations: ANNOUNCED, networkUnavailable: 'False' } });
    const told = await holderBed({ node: { annotations: ANNOUNCED }, setsAvailable: false });
    for (const bed of [right, told]) {
      bed.holder.noticeReady();
      await bed.clock.advance(MINUTE);
      expect(bed.writes).toEqual([]);
    }
    await told.put({ networkUnavailable: 'True' });
    expect(told.writes).toEqual([]);
  });
});

describe('a podCIDR that two Nodes have', () => {
  const lease = (name: string, created: number, subnet = '10.244.1.0/24') => ({
    key: name,
    subnets: { ipv4: prefix(subnet) },
    attrs: ownAttrs('192.168.77.3'),
    revision: 5,
    created,
    session: `uid-${name}`,
    asked: undefined,
  });

  it.each([
    ['an older Node', 500, 'Node n2, which is older, has our podCIDR too'],
    ['a younger Node', 2_000, undefined],
  ])('is a condition of this one beside %s', async (_, created, reason) => {
    const bed = await holderBed({ leases: [lease('n2', created), lease('n3', 1, '10.244.3.0/24')] });
    expect(bed.subnet()).toBe('10.244.1.0/24');
    if (reason === undefined) expect(bed.reason()).toBeUndefined();
    else expect(bed.reason()).toContain(reason);
    bed.holder.notice({ type: 'lease', lease: lease('n2', created, '10.244.2.0/24') });
    expect(bed.reason()).toBeUndefined();
  });

  it('is not used any more by this one where its Node is gone', async () => {
    const bed = await holderBed();
    await bed.put(undefined);
    bed.holder.notice({ type: 'lease', lease: lease('n2', 2_000, '10.244.2.0/24') });
    expect(bed.subnet()).toBe('10.244.1.0/24');
    bed.holder.notice({ type: 'lease', lease: lease('n2', 2_000) });
    expect(bed.subnet()).toBeUndefined();
    expect(bed.lines.join()).toContain('our subnet is the podCIDR of Node n2 now: it is not used any more');
    await bed.put({ uid: 'another', podCidrs: ['10.244.4.0/24'] });
    expect([bed.subnet(), bed.reason()]).toEqual(['10.244.4.0/24', undefined]);
  });
});
