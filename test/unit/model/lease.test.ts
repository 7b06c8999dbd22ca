import { describe, expect, it } from 'vitest';
import {
  formatLeaseValue,
  formatSubnetKey,
  leaseName,
  parseLeaseValue,
  parseSubnetKey,
} from '../../../agent/model/lease.ts';
import { prefix } from '../../support/build.ts';

const KEY = '/coreos.com/network/subnets/10.5.34.0-24';

// As flannel writes them, to the byte.
const VXLAN =
  '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"12:ec:88:6a:62:a9"}}';
const HOST_GW = '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"host-gw"}';
const WIREGUARD =
  '{"PublicIP":"192.168.77.1","PublicIPv6":"fd00::1","BackendType":"wireguard","BackendData":{"PublicKey":"a2V5","Port":51820},"BackendV6Data":{"PublicKey":"a2V5","Port":51821}}';
const EXTENSION =
  '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"extension","BackendData":"what the command printed"}';
const OURS =
  '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"host-gw","Node":{"ID":"00000000000000aa","Name":"h1"}}';

describe('subnet keys', () => {
  it.each([
    ['10.5.34.0-24', '10.5.34.0/24', undefined],
    ['0.0.0.0-0', '0.0.0.0/0', undefined],
    ['10.5.34.7-32', '10.5.34.7/32', undefined],
    ['10.5.34.0-24&fd00:5:22::-64', '10.5.34.0/24', 'fd00:5:22::/64'],
    ['10.5.34.0-24&::-0', '10.5.34.0/24', '::/0'],
  ])('%s names %s and %s, both ways', (key, subnet, ipv6) => {
    const subnets = { ipv4: prefix(subnet), ...(ipv6 === undefined ? {} : { ipv6: prefix(ipv6) }) };
    expect(parseSubnetKey(key)).toEqual(subnets);
    expect(formatSubnetKey(subnets)).toBe(key);
  });

  it.each([
    ['nothing', ''],
    ['no length', '10.5.34.0'],
    ['an empty length', '10.5.34.0-'],
    ['a length that is too long', '10.5.34.0-33'],
    ['a slash, which makes it another key of the same subnet', '10.5.34.0/24'],
    ['a leading zero in the length, likewise', '10.5.34.0-024'],
    ['a leading zero in the address, likewise', '010.5.34.0-24'],
    ['host bits', '10.5.34.1-24'],
    ['IPv6 alone', 'fd00:5:22::-64'],
    ['IPv4 twice', '10.5.34.0-24&10.5.35.0-24'],
    ['IPv6 first', 'fd00::-64&10.5.34.0-24'],
    ['an empty second part', '10.5.34.0-24&'],
    ['a third part', '10.5.34.0-24&fd00::-64&fd01::-64'],
    ['IPv6 in capitals', '10.5.34.0-24&FD00::-64'],
    ['IPv6 that is not compressed', '10.5.34.0-24&fd00:0:0:0::-64'],
    ['IPv6 with host bits', '10.5.34.0-24&fd00::1-64'],
    ['a folder', '10.5.34.0-24/x'],
    ['a line break', '10.5.34.0-24\n'],
    ['a space', ' 10.5.34.0-24'],
    ['two dashes', '10.5.34.0--24'],
    ['something else', '__proto__'],
  ])('a subnet key is refused: %s', (_, key) => {
    expect(parseSubnetKey(key)).toBeUndefined();
  });
});

describe('the name of a lease', () => {
  const node = { id: '00000000000000aa', mac: undefined, name: 'host' };
  const attrs = { publicIP: { ipv4: '192.168.77.1' }, backendType: 'vxlan', backendData: {}, extra: {} };
  it.each([
    ['the host name that the lease has', '10.5.34.0-24', node, 'host'],
    ["none of flannel's in a key-value store", '10.5.34.0-24', undefined, undefined],
    ['the name of the Node in Kubernetes', 'worker-1', undefined, 'worker-1'],
  ] as const)('is %s', (_, key, its, name) => {
    expect(leaseName({ key, attrs: { ...attrs, node: its } })).toBe(name);
  });
});

describe('lease values', () => {
  it.each([
    ['vxlan', VXLAN],
    ['host-gw', HOST_GW],
    ['wireguard, dual stack', WIREGUARD],
    ['extension', EXTENSION],
    ['our own', OURS],
  ])('a lease value %s comes back to the byte', (_, text) => {
    expect(formatLeaseValue(parseLeaseValue(text, KEY).attrs)).toBe(text);
  });

  it('parseLeaseValue reads every field', () => {
    expect(parseLeaseValue(WIREGUARD, KEY).attrs).toEqual({
      publicIP: { ipv4: '192.168.77.1', ipv6: 'fd00::1' },
      backendType: 'wireguard',
      backendData: { ipv4: { PublicKey: 'a2V5', Port: 51820 }, ipv6: { PublicKey: 'a2V5', Port: 51821 } },
      node: undefined,
      extra: {},
    });
  });

  it.each(['{"PublicIP":"192.168.77.1"}', '{"PublicIP":"192.168.77.1","BackendType":""}'])(
    'a lease value without a backend is read as udp: %s',
    (text) => {
      expect(parseLeaseValue(text, KEY).attrs.backendType).toBe('udp');
    },
  );

  it('a lease value with null data has none', () => {
    const text =
      '{"PublicIP":"192.168.77.1","BackendType":"host-gw","BackendData":null,"BackendV6Data":null}';
    expect(formatLeaseValue(parseLeaseValue(text, KEY).attrs)).toBe(HOST_GW);
  });

  it('a lease value is read with names in any case, as by flannel', () => {
    const text = '{"publicip":"192.168.77.1","BACKENDTYPE":"vxlan"}';
    const { publicIP, backendType } = parseLeaseValue(text, KEY).attrs;
    expect({ publicIP, backendType }).toEqual({ publicIP: { ipv4: '192.168.77.1' }, backendType: 'vxlan' });
  });

  it('a lease value keeps unknown fields and their order, after its own', () => {
    const text =
      '{"Zone":{"b":[1,null,"x"],"a":true},"PublicIP":"192.168.77.1","Alias":"","PublicIPv6":null,"BackendType":"host-gw"}';
    expect(formatLeaseValue(parseLeaseValue(text, KEY).attrs)).toBe(
      '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"host-gw","Zone":{"b":[1,null,"x"],"a":true},"Alias":""}',
    );
  });

  it.each([
    '3',
    'null',
    '"h1"',
    '[]',
    '{}',
    '{"ID":"00000000000000aa"}',
    '{"ID":"00000000000000AA","Name":"h1"}',
    '{"ID":"00000000000000aa0","Name":"h1"}',
    '{"ID":1,"Name":"h1"}',
    `{"ID":"00000000000000aa","Name":"${'x'.repeat(254)}"}`,
  ])('a node identity %s is not ours, and not an error', (node) => {
    expect(parseLeaseValue(`{"PublicIP":"192.168.77.1","Node":${node}}`, KEY).attrs.node).toBeUndefined();
  });

  it('a lease value names a node that asks, as its last own field, and a holder writes it without', () => {
    const asking = `${OURS.slice(0, -1)},"Asked":{"ID":"00000000000000bb","MAC":"02:00:00:00:00:02","Name":"h2"},"Zone":"a"}`;
    const { attrs, asked } = parseLeaseValue(asking, KEY);
    expect(asked).toEqual({ id: '00000000000000bb', mac: '02:00:00:00:00:02', name: 'h2' });
    expect(attrs.extra).toEqual({ Zone: 'a' });
    expect(formatLeaseValue(attrs, asked)).toBe(asking);
    expect(formatLeaseValue(attrs)).toBe(`${OURS.slice(0, -1)},"Zone":"a"}`);
  });

  it('a MAC of another form is no MAC, and leaves the identity', () => {
    const node = '{"ID":"00000000000000aa","MAC":"80:00:00:02:fe:80:00:00","Name":"h1"}';
    expect(parseLeaseValue(`{"PublicIP":"192.168.77.1","Node":${node}}`, KEY).attrs.node).toEqual({
      id: '00000000000000aa',
      mac: undefined,
      name: 'h1',
    });
  });

  it('a lease value cannot reach into a prototype', () => {
    const { attrs } = parseLeaseValue(
      '{"PublicIP":"192.168.77.1","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"BackendData":{"__proto__":{"polluted":1}}}',
      KEY,
    );
    expect({}).not.toHaveProperty('polluted');
    expect(attrs).not.toHaveProperty('polluted');
    expect(attrs.extra).not.toHaveProperty('polluted');
    expect(Object.getPrototypeOf(attrs.extra)).toBe(Object.prototype);
  });

  const REFUSED: readonly (readonly [text: string, message: string])[] = [
    ['', 'not valid JSON: Unexpected end of JSON input'],
    ['null', 'must be a JSON object, is null'],
    ['7', 'must be a JSON object, is 7'],
    ['"x"', 'must be a JSON object, is "x"'],
    ['[]', 'PublicIP: must be an IPv4 address, is missing'],
    ['{}', 'PublicIP: must be an IPv4 address, is missing'],
    ['{"PublicIP":null}', 'PublicIP: must be an IPv4 address, is missing'],
    ['{"PublicIP":"h1"}', 'PublicIP: must be an IPv4 address, is "h1"'],
    ['{"PublicIP":"fd00::1"}', 'PublicIP: must be an IPv4 address, is "fd00::1"'],
    ['{"PublicIP":"10.0.0.1/24"}', 'PublicIP: must be an IPv4 address, is "10.0.0.1/24"'],
    ['{"PublicIP":3232255233}', 'PublicIP: must be a string, is 3232255233'],
    ['{"PublicIP":["10.0.0.1"]}', 'PublicIP: must be a string, is ["10.0.0.1"]'],
    ['{"PublicIP":"10.0.0.1","PublicIPv6":"10.0.0.1"}', 'PublicIPv6: must be an IPv6 address, is "10.0.0.1"'],
    ['{"PublicIP":"10.0.0.1","BackendType":1e400}', 'BackendType: must be a string, is null'],
    ['{"PublicIP":"10.0.0.1","BackendType":{"a":1}}', 'BackendType: must be a string, is {"a":1}'],
    ['{"PublicIP":"\\u001b[2J\\n"}', 'PublicIP: must be an IPv4 address, is "\\u001b[2J\\n"'],
    [`{"PublicIP":"${'1'.repeat(200)}"}`, `PublicIP: must be an IPv4 address, is "${'1'.repeat(79)}…`],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'nested more than 64 levels deep'],
    [
      `{"PublicIP":"10.0.0.1","BackendData":${'{"a":'.repeat(70)}1${'}'.repeat(70)}}`,
      'nested more than 64 levels deep',
    ],
  ];
  it.each(REFUSED.map(([text, message]) => [text.slice(0, 60), text, message] as const))(
    'a lease value is refused: %j',
    (_, text, message) => {
      expect(() => parseLeaseValue(text, KEY)).toThrow(
        expect.objectContaining({ name: 'TwillError', code: 'datastore', message: `${KEY}: ${message}` }),
      );
    },
  );
});
