import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../agent/base/schema.ts';
import { changesOf, formatAnnouncement, readPeer } from '../../../agent/kubernetes/node-lease.ts';
import type { PerFamily } from '../../../agent/model/ip.ts';
import { leaseAttrs } from '../../support/build.ts';
import { vxlanAnnotations } from '../../support/node-json.ts';
import { nodeObject } from '../../support/node-object.ts';

const vxlan = vxlanAnnotations('192.168.77.2');

describe('the announcement of this node', () => {
  const mac = { VNI: 1, VtepMAC: '02:00:00:00:00:02' };
  const mac6 = { VNI: 1, VtepMAC: '02:00:00:00:00:06' };
  const key = { PublicKey: 'aGVsbG8=', Port: 51820 };
  const key6 = { PublicKey: 'aGVsbG8=', Port: 51821 };
  const vtep = '{"VNI":1,"VtepMAC":"02:00:00:00:00:02"}';
  const vtep6 = '{"VNI":1,"VtepMAC":"02:00:00:00:00:06"}';
  const wg = '{"PublicKey":"aGVsbG8=","Port":51820}';
  const wg6 = '{"PublicKey":"aGVsbG8=","Port":51821}';
  const four = { ipv4: '10.0.0.1' };
  const six = { ipv6: 'fd00::1' };
  const both = { ...four, ...six };

  interface Golden {
    readonly type: string;
    readonly publicIP: PerFamily<string>;
    readonly data: PerFamily<JsonValue>;
    /** By the ends of names, without the mark. */
    readonly written: Readonly<Record<string, string>>;
  }

  const GOLDEN: readonly Golden[] = [
    {
      type: 'vxlan',
      publicIP: four,
      data: { ipv4: mac },
      written: { 'backend-type': 'vxlan', 'backend-data': vtep, 'public-ip': '10.0.0.1' },
    },
    {
      type: 'vxlan',
      publicIP: six,
      data: { ipv6: mac6 },
      written: { 'backend-type': 'vxlan', 'backend-v6-data': vtep6, 'public-ipv6': 'fd00::1' },
    },
    {
      type: 'vxlan',
      publicIP: both,
      data: { ipv4: mac, ipv6: mac6 },
      written: {
        'backend-type': 'vxlan',
        'backend-data': vtep,
        'public-ip': '10.0.0.1',
        'backend-v6-data': vtep6,
        'public-ipv6': 'fd00::1',
      },
    },
    {
      type: 'wireguard',
      publicIP: four,
      data: { ipv4: key },
      written: { 'backend-type': 'wireguard', 'backend-data': wg, 'public-ip': '10.0.0.1' },
    },
    {
      type: 'wireguard',
      publicIP: six,
      data: { ipv6: key6 },
      written: {
        'backend-type': 'wireguard',
        'backend-data': 'null',
        'public-ip': '0.0.0.0',
        'backend-v6-data': wg6,
        'public-ipv6': 'fd00::1',
      },
    },
    {
      type: 'wireguard',
      publicIP: both,
      data: { ipv4: key, ipv6: key6 },
      written: {
        'backend-type': 'wireguard',
        'backend-data': wg,
        'public-ip': '10.0.0.1',
        'backend-v6-data': wg6,
        'public-ipv6': 'fd00::1',
      },
    },
    {
      type: 'host-gw',
      publicIP: four,
      data: {},
      written: { 'backend-type': 'host-gw', 'backend-data': 'null', 'public-ip': '10.0.0.1' },
    },
    {
      type: 'host-gw',
      publicIP: six,
      data: {},
      written: {
        'backend-type': 'host-gw',
        'backend-data': 'null',
        'public-ip': '0.0.0.0',
        'backend-v6-data': 'null',
        'public-ipv6': 'fd00::1',
      },
    },
    {
      type: 'host-gw',
      publicIP: both,
      data: {},
      written: {
        'backend-type': 'host-gw',
        'backend-data': 'null',
        'public-ip': '10.0.0.1',
        'backend-v6-data': 'null',
        'public-ipv6': 'fd00::1',
      },
    },
    {
      type: 'ipip',
      publicIP: four,
      data: {},
      written: { 'backend-type': 'ipip', 'backend-data': 'null', 'public-ip': '10.0.0.1' },
    },
    {
      type: 'udp',
      publicIP: four,
      data: {},
      written: { 'backend-type': '', 'backend-data': 'null', 'public-ip': '10.0.0.1' },
    },
    {
      type: 'alloc',
      publicIP: four,
      data: {},
      written: { 'backend-type': '', 'backend-data': 'null', 'public-ip': '10.0.0.1' },
    },
    {
      type: 'extension',
      publicIP: four,
      data: { ipv4: 'key <a&b>' },
      written: {
        'backend-type': 'extension',
        'backend-data': '"key \\u003ca\\u0026b\\u003e"',
        'public-ip': '10.0.0.1',
      },
    },
    {
      type: 'extension',
      publicIP: four,
      data: {},
      written: { 'backend-type': 'extension', 'backend-data': '', 'public-ip': '10.0.0.1' },
    },
  ];

  it.each(GOLDEN)("is flannel's to the byte: $type at $publicIP", ({ type, publicIP, data, written }) => {
    const attrs = { ...leaseAttrs(''), backendType: type, publicIP, backendData: data };
    expect(formatAnnouncement(attrs)).toEqual({ 'kube-subnet-manager': 'true', ...written });
  });

  it.each(GOLDEN)('is read back as it was meant: $type at $publicIP', ({ type, publicIP, data }) => {
    const attrs = { ...leaseAttrs(''), backendType: type, publicIP, backendData: data };
    const podCidrs = [...(publicIP.ipv4 ? ['10.244.1.0/24'] : []), ...(publicIP.ipv6 ? ['fd00:1::/64'] : [])];
    const found = readPeer(nodeObject(formatAnnouncement(attrs), { podCidrs }));
    // The empty text stands for two backends.
    expect(found).toMatchObject({ attrs: { ...attrs, backendType: type === 'alloc' ? 'udp' : type } });
  });

  it('has the addresses that the operator sets in place of its own', () => {
    const attrs = { ...leaseAttrs(''), backendType: 'vxlan', publicIP: both, backendData: {} };
    const own = { 'public-ip-overwrite': '203.0.113.1', 'public-ipv6-overwrite': '2001:db8::1' };
    expect(formatAnnouncement(attrs, own)).toMatchObject({
      'public-ip': '203.0.113.1',
      'public-ipv6': '2001:db8::1',
    });
  });

  it('costs a write of what differs, and nothing of what is there', () => {
    const wanted = formatAnnouncement({
      ...leaseAttrs('192.168.77.3', { backendType: 'vxlan' }),
      backendData: { ipv4: mac },
    });
    expect(changesOf(nodeObject(vxlan), wanted)).toEqual({ 'public-ip': '192.168.77.3' });
    expect(changesOf(nodeObject(wanted), wanted)).toBeUndefined();
    expect(changesOf(nodeObject({}), wanted)).toEqual(wanted);
  });
});
