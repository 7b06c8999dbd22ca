import { describe, expect, it } from 'vitest';
import { createLeaseKeys, isLease } from '../../../agent/datastore/lease-keys.ts';

const keys = createLeaseKeys('/coreos.com/network');
const VALUE = '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan"}';

function read(key: string, value = VALUE) {
  return keys.readLease({
    key: `/coreos.com/network/${key}`,
    value,
    revision: 7,
    created: 5,
    session: undefined,
  });
}

describe('the keys of leases', () => {
  it("lease keys are flannel's", () => {
    expect(keys.config).toBe('/coreos.com/network/config');
    expect(keys.lease('10.5.34.0-24')).toBe('/coreos.com/network/subnets/10.5.34.0-24');
  });

  for (const [key, subnet, ipv6] of [
    ['subnets/10.5.34.0-24', '10.5.34.0', undefined],
    ['subnets/10.5.34.0-24&fd00:5:22::-64', '10.5.34.0', 'fd00:5:22::'],
  ] as const) {
    it(`lease keys include ${key}, which is a lease`, () => {
      const found = read(key);
      if (found === undefined || !isLease(found)) throw new Error('no lease');
      expect(found.subnets.ipv4?.address).toBe(subnet);
      expect(found.subnets.ipv6?.address).toBe(ipv6);
      expect(found).toMatchObject({
        key: key.slice('subnets/'.length),
        revision: 7,
        created: 5,
        session: undefined,
      });
    });
  }

  for (const key of [
    'subnets/',
    'subnets/x',
    'subnets/10.5.34.0',
    'subnets/10.5.34.1-24',
    'subnets/10.5.34.0-33',
    'subnets/10.5.34.0-24/deeper',
    'subnets/fd00::-64',
    'subnets/10.5.34.0-24&10.5.35.0-24',
    'subnets/\u001b[31m\n',
    `subnets/${'9'.repeat(10_000)}`,
  ]) {
    it(`lease keys do not include ${JSON.stringify(key.slice(0, 40))}, which is reported in one short line`, () => {
      const found = read(key);
      if (found === undefined || isLease(found)) throw new Error('not malformed');
      expect(found).toMatchObject({ where: `/coreos.com/network/${key}`, key: undefined });
      expect(found.reason).not.toMatch(/\p{Cc}/u);
      expect(found.reason.length).toBeLessThan(250);
    });
  }

  it('lease keys are only those under subnets/', () => {
    expect(read('config')).toBeUndefined();
    expect(read('subnets-of-others/10.5.34.0-24')).toBeUndefined();
  });

  it('a lease tells who asks whether its holder is alive', () => {
    const asking = (asked: string): unknown => {
      const found = read('subnets/10.5.34.0-24', VALUE.replace('}', `,"Asked":${asked}}`));
      return found !== undefined && isLease(found) ? found.asked : found;
    };
    expect(asking('{"ID":"0123456789abcdef","MAC":"02:00:00:00:00:01","Name":"n1"}')).toEqual({
      id: '0123456789abcdef',
      mac: '02:00:00:00:00:01',
      name: 'n1',
    });
    for (const garbage of ['"garbage"', 'null', '{"ID":"../../etc","Name":"n1"}', '[]'])
      expect(asking(garbage)).toBeUndefined();
  });
});
