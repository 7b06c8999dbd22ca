import { describe, expect, it } from 'vitest';
import { parseInterfaceRegex } from '../../agent/options/interface-regex.ts';

describe('a regular expression for interfaces', () => {
  it.each([
    ['^eth[0-9]$', 'eth1', 'veth1'],
    ['eth0|eth1', 'eth1', 'eth2'],
    ['192\\.168\\.77\\.', '192.168.77.1', '192.168.7.71'],
    ['^eth[[:digit:]]+$', 'eth10', 'ethx'],
    ['^[^[:alpha:]]', '10.0.0.1', 'eth0'],
    ['(?i)^ETH0$', 'eth0', 'eth1'],
    ['^br\\-lan$', 'br-lan', 'brlan'],
    ['^a[\\-\\:]b$', 'a:b', 'a.b'],
    ['^a\\\\-b$', 'a\\-b', 'a-b'],
    ['^(?P<kind>en)p', 'enp0s3', 'eth0'],
  ])('the regular expression %s matches %s and not %s', (source, yes, no) => {
    const regex = parseInterfaceRegex(source);
    expect([regex?.test(yes), regex?.test(no)]).toEqual([true, false]);
  });

  it.each(['(', '[', '*', 'a{2,1}', '\\Aeth', '[[:nothing:]]'])(
    'the regular expression %s is refused',
    (source) => {
      expect(parseInterfaceRegex(source)).toBeUndefined();
    },
  );
});
