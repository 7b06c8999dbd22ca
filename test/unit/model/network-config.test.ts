import { describe, expect, it } from 'vitest';
import { formatPrefix } from '../../../agent/model/ip.ts';
import { parseNetworkConfig, subnetAt, subnetCount } from '../../../agent/model/network-config.ts';

const WHERE = '/coreos.com/network/config';
const parse = (config: object) => parseNetworkConfig(JSON.stringify(config), WHERE);

// The line that a configuration is refused with, without the key in front of it.
function refusal(text: string): string {
  try {
    parseNetworkConfig(text, WHERE);
  } catch (error) {
    expect(error).toMatchObject({ name: 'TwillError', code: 'config' });
    const { message } = error as Error;
    expect(message.startsWith(`${WHERE}: `)).toBe(true);
    return message.slice(WHERE.length + 2);
  }
  return 'accepted';
}

describe('the network configuration', () => {
  it('the configuration has flannel’s defaults, and vxlan when it names no backend', () => {
    expect(parse({ Network: '10.5.0.0/16' })).toEqual({
      network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
      subnetLength: 24,
      subnetMin: { family: 'ipv4', address: '10.5.1.0', length: 24 },
      subnetMax: { family: 'ipv4', address: '10.5.255.0', length: 24 },
      enableNFTables: false,
      backend: { type: 'vxlan', options: {} },
      backendIsDefault: true,
    });
  });

  it('the configuration keeps every given field', () => {
    expect(
      parse({
        Network: '10.0.0.0/8',
        EnableIPv4: true,
        EnableIPv6: false,
        EnableNFTables: true,
        IPv6Network: 'fd00::/48',
        SubnetLen: 20,
        SubnetMin: '10.10.0.0',
        SubnetMax: '10.99.0.0',
        Backend: { Type: 'host-gw', Extra: [1] },
        SomethingElse: 7,
      }),
    ).toEqual({
      network: { family: 'ipv4', address: '10.0.0.0', length: 8 },
      subnetLength: 20,
      subnetMin: { family: 'ipv4', address: '10.10.0.0', length: 20 },
      subnetMax: { family: 'ipv4', address: '10.99.0.0', length: 20 },
      enableNFTables: true,
      backend: { type: 'host-gw', options: { Extra: [1] } },
      backendIsDefault: false,
    });
  });

  it('the configuration reads its names in any case, and leaves those of the backend’s options', () => {
    const config = parse({
      network: '10.5.0.0/16',
      SUBNETLEN: 26,
      subnetmin: '10.5.2.0',
      SubnetMAX: '10.5.3.0',
      enableNftables: true,
      backend: { type: 'vxlan', vni: 7 },
    });
    expect(config).toMatchObject({
      subnetLength: 26,
      subnetMin: { address: '10.5.2.0' },
      subnetMax: { address: '10.5.3.0' },
      enableNFTables: true,
      backend: { type: 'vxlan', options: { vni: 7 } },
    });
  });

  it.each([
    // network, SubnetLen taken, first, last, how many
    ['10.5.0.0/16', 24, '10.5.1.0/24', '10.5.255.0/24', 255],
    ['10.5.77.9/16', 24, '10.5.1.0/24', '10.5.255.0/24', 255],
    ['32.0.0.0/3', 24, '32.0.1.0/24', '63.255.255.0/24', 2 ** 21 - 1],
    ['240.0.0.0/8', 24, '240.0.1.0/24', '240.255.255.0/24', 2 ** 16 - 1],
    ['10.5.0.0/21', 24, '10.5.1.0/24', '10.5.7.0/24', 7],
    ['10.5.0.0/22', 24, '10.5.1.0/24', '10.5.3.0/24', 3],
    ['10.5.0.0/23', 25, '10.5.0.128/25', '10.5.1.128/25', 3],
    ['10.5.0.0/24', 26, '10.5.0.64/26', '10.5.0.192/26', 3],
    ['10.5.0.16/28', 30, '10.5.0.20/30', '10.5.0.28/30', 3],
  ])('%s is divided into /%d from %s to %s: %d', (network, length, first, last, count) => {
    const config = parse({ Network: network });
    expect(config.subnetLength).toBe(length);
    expect(formatPrefix(config.subnetMin)).toBe(first);
    expect(formatPrefix(config.subnetMax)).toBe(last);
    expect(subnetCount(config)).toBe(count);
    expect(formatPrefix(subnetAt(config, 0))).toBe(first);
    expect(formatPrefix(subnetAt(config, count - 1))).toBe(last);
  });

  it.each([
    [{ SubnetLen: 18 }, '10.5.64.0/18', '10.5.192.0/18', 3],
    [{ SubnetLen: 30 }, '10.5.0.4/30', '10.5.255.252/30', 16_383],
    [{ SubnetMin: '10.5.0.0' }, '10.5.0.0/24', '10.5.255.0/24', 256],
    [{ SubnetMin: '10.5.7.0', SubnetMax: '10.5.7.0' }, '10.5.7.0/24', '10.5.7.0/24', 1],
    [{ SubnetMin: '10.5.10.0', SubnetMax: '10.5.40.0' }, '10.5.10.0/24', '10.5.40.0/24', 31],
  ])('10.5.0.0/16 with %j goes from %s to %s: %d', (fields, first, last, count) => {
    const config = parse({ Network: '10.5.0.0/16', ...fields });
    expect([formatPrefix(config.subnetMin), formatPrefix(config.subnetMax), subnetCount(config)]).toEqual([
      first,
      last,
      count,
    ]);
  });

  it.each([
    ['', 'not valid JSON: Unexpected end of JSON input'],
    [
      '{"Network": "10.5.0.0/16",}',
      'not valid JSON: Expected double-quoted property name in JSON at position 26',
    ],
    ['[]', 'must be a JSON object, is []'],
    ['"10.5.0.0/16"', 'must be a JSON object, is "10.5.0.0/16"'],
    ['null', 'must be a JSON object, is null'],
    ['{}', 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is missing'],
  ])('the configuration is refused: %s', (text, line) => {
    // Newer engines add where in the line it is.
    expect(refusal(text).replace(/ \(line .*\)$/, '')).toBe(line);
  });

  it.each([
    [{ Network: null }, 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is missing'],
    [{ Network: '10.5.0.0' }, 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is "10.5.0.0"'],
    [{ Network: 'fd00::/48' }, 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is "fd00::/48"'],
    [{ Network: '10.5.0.0/29' }, 'Network: must be a /28 or larger, is "10.5.0.0/29"'],
    [
      { Network: '0.0.0.0/8' },
      'Network: overlaps 0.0.0.0/8, whose addresses no host can have, is "0.0.0.0/8"',
    ],
    [
      { Network: '8.0.0.0/0' },
      'Network: overlaps 0.0.0.0/8, whose addresses no host can have, is "8.0.0.0/0"',
    ],
    [
      { Network: '8.0.0.0/1' },
      'Network: overlaps 0.0.0.0/8, whose addresses no host can have, is "8.0.0.0/1"',
    ],
    [
      { Network: '64.0.0.0/2' },
      'Network: overlaps 127.0.0.0/8, whose addresses no host can have, is "64.0.0.0/2"',
    ],
    [
      { Network: '127.5.0.0/16' },
      'Network: overlaps 127.0.0.0/8, whose addresses no host can have, is "127.5.0.0/16"',
    ],
    [
      { Network: '169.254.0.0/16' },
      'Network: overlaps 169.254.0.0/16, whose addresses no host can have, is "169.254.0.0/16"',
    ],
    [
      { Network: '239.1.0.0/16' },
      'Network: overlaps 224.0.0.0/4, whose addresses no host can have, is "239.1.0.0/16"',
    ],
    [
      { Network: '255.0.0.0/8' },
      'Network: overlaps 255.255.255.255/32, whose addresses no host can have, is "255.0.0.0/8"',
    ],
    [{ EnableIPv4: false }, 'EnableIPv4: must be true: this version carries IPv4 only, is false'],
    [{ EnableIPv4: 'yes' }, 'EnableIPv4: must be true or false, is "yes"'],
    [{ EnableIPv6: true }, 'EnableIPv6: must be false: this version carries IPv4 only, is true'],
    [{ EnableNFTables: 1 }, 'EnableNFTables: must be true or false, is 1'],
    [{ IPv6Network: 6 }, 'IPv6Network: must be a string, is 6'],
    [{ SubnetLen: '24' }, 'SubnetLen: must be a number, is "24"'],
    [{ SubnetLen: 24.5 }, 'SubnetLen: must be a whole number, is 24.5'],
    [{ SubnetLen: 31 }, "SubnetLen: must be from 18 (Network's length + 2) to 30, is 31"],
    [{ SubnetLen: 17 }, "SubnetLen: must be from 18 (Network's length + 2) to 30, is 17"],
    [{ SubnetLen: 1e300 }, "SubnetLen: must be from 18 (Network's length + 2) to 30, is 1e+300"],
    [{ SubnetLen: -24 }, "SubnetLen: must be from 18 (Network's length + 2) to 30, is -24"],
    [
      { Network: '10.5.0.0/26', SubnetLen: 27 },
      "SubnetLen: must be from 28 (Network's length + 2) to 30, is 27",
    ],
    [{ SubnetMin: '10.5.1.0/24' }, 'SubnetMin: must be an IPv4 address such as 10.5.1.0, is "10.5.1.0/24"'],
    [
      { SubnetMin: '10.4.255.0' },
      'SubnetMin: must be inside Network 10.5.0.0/16 (10.5.0.0 to 10.5.255.0), is "10.4.255.0"',
    ],
    [{ SubnetMin: '10.5.1.1' }, 'SubnetMin: must be the first address of a /24, is "10.5.1.1"'],
    [
      { SubnetMax: '10.6.0.0' },
      'SubnetMax: must be inside Network 10.5.0.0/16 (10.5.0.0 to 10.5.255.0), is "10.6.0.0"',
    ],
    [{ SubnetMax: '10.5.255.255' }, 'SubnetMax: must be the first address of a /24, is "10.5.255.255"'],
    [
      { SubnetMin: '10.5.9.0', SubnetMax: '10.5.8.0' },
      'SubnetMin: must not be after SubnetMax 10.5.8.0, is "10.5.9.0"',
    ],
    [{ SubnetMax: '10.5.0.0' }, 'SubnetMin: must not be after SubnetMax 10.5.0.0, is "10.5.1.0"'],
    [{ Backend: 'vxlan' }, 'Backend: must be an object with a Type, is "vxlan"'],
    [{ Backend: { VNI: 1 } }, 'Backend.Type: must be the name of a backend, is missing'],
    [{ Backend: [] }, 'Backend.Type: must be the name of a backend, is missing'],
    [{ Backend: { Type: 7 } }, 'Backend.Type: must be the name of a backend, is 7'],
  ])('the configuration is refused with %j', (fields, line) => {
    expect(refusal(JSON.stringify({ Network: '10.5.0.0/16', ...fields }))).toBe(line);
  });

  it('the configuration reads nothing from a prototype', () => {
    expect(refusal('{"__proto__":{"Network":"10.5.0.0/16"}}')).toBe(
      'Network: must be an IPv4 prefix such as 10.5.0.0/16, is missing',
    );
  });
});
