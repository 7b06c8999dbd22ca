import { describe, expect, it } from 'vitest';
import { readPeer } from '../../../agent/kubernetes/node-lease.ts';
import { leaseAttrs, prefix } from '../../support/build.ts';
import { vxlanAnnotations } from '../../support/node-json.ts';
import { nodeObject } from '../../support/node-object.ts';

const vxlan = vxlanAnnotations('192.168.77.2');

describe('a Node as a peer', () => {
  it('is a lease with its name as key, its uid as session and its age', () => {
    expect(readPeer(nodeObject(vxlan))).toEqual({
      key: 'n1',
      subnets: { ipv4: prefix('10.244.1.0/24') },
      attrs: {
        ...leaseAttrs('192.168.77.2', { backendType: 'vxlan' }),
        backendData: { ipv4: { VNI: 1, VtepMAC: '02:00:00:00:00:02' } },
      },
      revision: 42,
      created: 1_000,
      session: 'uid-n1',
      asked: undefined,
    });
  });

  it.each([
    ['without marks', {}],
    ['with another mark', { ...vxlan, 'kube-subnet-manager': 'True' }],
  ])('is none %s', (_, annotations) => {
    expect(readPeer(nodeObject(annotations))).toBeUndefined();
  });

  it('is none before it has a podCIDR', () => {
    expect(readPeer(nodeObject(vxlan, { podCidrs: [] }))).toBeUndefined();
  });

  it.each([
    ['host bits', ['10.244.1.7/24'], { ipv4: prefix('10.244.1.0/24') }],
    [
      'both families',
      ['fd00:1::/64', '10.244.1.0/24'],
      { ipv4: prefix('10.244.1.0/24'), ipv6: prefix('fd00:1::/64') },
    ],
    ['one family twice', ['10.244.1.0/24', '10.244.2.0/24'], { ipv4: prefix('10.244.1.0/24') }],
  ])('has the podCIDRs of its Node: %s', (_, podCidrs, subnets) => {
    const annotations = { ...vxlan, 'public-ipv6': 'fd00::2' };
    expect(readPeer(nodeObject(annotations, { podCidrs }))).toMatchObject({ subnets });
  });

  it('of both families has the addresses and data of both, and one of IPv6 alone those of IPv6', () => {
    const annotations = {
      ...vxlan,
      'public-ipv6': 'FD00::0002',
      'backend-v6-data': '{"VNI":1,"VtepMAC":"02:00:00:00:00:06"}',
    };
    const ipv6 = { VNI: 1, VtepMAC: '02:00:00:00:00:06' };
    expect(readPeer(nodeObject(annotations, { podCidrs: ['10.244.1.0/24', 'fd00:1::/64'] }))).toMatchObject({
      attrs: { publicIP: { ipv4: '192.168.77.2', ipv6: 'fd00::2' }, backendData: { ipv6 } },
    });
    const six = { ...annotations, 'public-ip': '0.0.0.0', 'backend-data': 'null' };
    expect(readPeer(nodeObject(six, { podCidrs: ['fd00:1::/64'] }))).toMatchObject({
      attrs: { publicIP: { ipv6: 'fd00::2' }, backendData: { ipv6 } },
    });
  });

  it.each([
    ['', 'udp'],
    ['host-gw', 'host-gw'],
  ])('with the backend type %j uses %s', (written, backendType) => {
    const annotations = { ...vxlan, 'backend-type': written, 'backend-data': 'null' };
    expect(readPeer(nodeObject(annotations))).toMatchObject({ attrs: { backendType, backendData: {} } });
  });

  it('takes data with blanks, in another order, and without a VNI', () => {
    const annotations = { ...vxlan, 'backend-data': ' { "VtepMAC" : "02:00:00:00:00:09" } ' };
    expect(readPeer(nodeObject(annotations))).toMatchObject({
      attrs: { backendData: { ipv4: { VtepMAC: '02:00:00:00:00:09' } } },
    });
  });

  it.each([
    ['no public address', { 'public-ip': '' }, {}, 'it has no public-ip of the family of its podCIDR'],
    [
      'a public address that is none',
      { 'public-ip': 'localhost' },
      {},
      'public-ip must be an IPv4 address, is "localhost"',
    ],
    [
      'a public address of the other family',
      { 'public-ip': 'fd00::1' },
      {},
      'public-ip must be an IPv4 address, is "fd00::1"',
    ],
    ['data that are no JSON', { 'backend-data': '{"VNI":1' }, {}, 'backend-data: not valid JSON: '],
    [
      'data without end',
      { 'backend-data': `"${'x'.repeat(8_192)}"` },
      {},
      'backend-data is longer than 8192 characters',
    ],
    [
      'deep data',
      { 'backend-data': '['.repeat(100) + ']'.repeat(100) },
      {},
      'backend-data: nested more than 64 levels deep',
    ],
    [
      'three podCIDRs',
      {},
      { podCidrs: ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'] },
      'it has more than two podCIDRs: ',
    ],
    [
      'a podCIDR that is none',
      {},
      { podCidrs: ['10.1.0.0'] },
      'podCIDR must be a prefix such as 10.244.1.0/24, is "10.1.0.0"',
    ],
  ])('is malformed with %s, in one line with its name', (_, changes, more, reason) => {
    const found = readPeer(nodeObject({ ...vxlan, ...changes }, more));
    expect(found).toMatchObject({ key: 'n1', where: 'Node n1', reason: expect.stringMatching(/^[^\n]+$/) });
    expect((found as { reason: string }).reason.startsWith(`Node n1: ${reason}`), JSON.stringify(found)).toBe(
      true,
    );
  });
});
