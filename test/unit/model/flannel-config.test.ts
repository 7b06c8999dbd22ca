// Odd but valid spellings of the network configuration, and what flannel takes them for. The column `flannel` was
// checked with Go's own encoding/json and package net; a difference is deliberate and says why.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { formatPrefix } from '../../../agent/model/ip.ts';
import { readNetwork } from '../../../backends/index.ts';
import { parseUdpOptions } from '../../../backends/udp/options.ts';
import { parseVxlanOptions } from '../../../backends/vxlan/options.ts';

const WHERE = '/coreos.com/network/config';

// The meaning of a configuration in one line, or the line of its refusal.
async function meaning(text: string): Promise<string> {
  try {
    const { config } = await readNetwork(text, WHERE, []);
    const { network, subnetLength, subnetMin, subnetMax, backend, enableNFTables } = config;
    const range = `${formatPrefix(network)} /${subnetLength} ${subnetMin.address} to ${subnetMax.address}`;
    const { type, options } = backend;
    return [
      range,
      config.backendIsDefault ? `no backend` : type,
      ...(Object.keys(options).length === 0 ? [] : [JSON.stringify(options)]),
      ...(enableNFTables ? ['nftables'] : []),
    ].join(', ');
  } catch (error) {
    expect(error).toMatchObject({ code: 'config' });
    const { message } = error as TwillError;
    expect(message.startsWith(`${WHERE}: `)).toBe(true);
    expect(message).not.toMatch(/[\n\r\ufeff\u00a0]/);
    return message.slice(WHERE.length + 2);
  }
}

const PLAIN = '10.5.0.0/16 /24 10.5.1.0 to 10.5.255.0';
const DEFAULT = `${PLAIN}, no backend`;
const NETWORK = 'Network: must be an IPv4 prefix such as 10.5.0.0/16';
const ADDRESS = 'must be an IPv4 address such as 10.5.1.0';
const TYPES = 'alloc, host-gw, udp, vxlan';

// A configuration with Network 10.5.0.0/16 and these fields.
const withFields = (fields: string): string => `{"Network":"10.5.0.0/16",${fields}}`;

interface Row {
  readonly input: string;
  readonly flannel: string;
  readonly ours: string;
}

const NETWORK_ROWS: readonly Row[] = [
  { input: '{"Network":"10.5.7.9/16"}', flannel: 'host bits cleared', ours: DEFAULT },
  { input: '{"Network":"10.5.0.0/016"}', flannel: '/16', ours: DEFAULT },
  { input: '{"NETWORK":"10.5.0.0/16"}', flannel: 'any case', ours: DEFAULT },
  { input: '{"Networ\\u006b":"10.5.0.0/16"}', flannel: 'the same name', ours: DEFAULT },
  { input: ' \t\r\n{"Network":"10.5.0.0/16"}\r\n ', flannel: 'blanks around it', ours: DEFAULT },
  {
    input: '{"Network":"10.9.0.0/16","network":"10.5.0.0/16"}',
    flannel: 'the last one',
    ours: DEFAULT,
  },
  {
    input: '{"Network":"10.5.0.0/16","network":null}',
    flannel: 'refused',
    ours: DEFAULT, // null is no value: it replaces none.
  },
  { input: '{"Network":null}', flannel: 'refused', ours: `${NETWORK}, is missing` },
  { input: '{"Network":""}', flannel: 'refused', ours: `${NETWORK}, is ""` },
  { input: '{"Network":"0.0.0.0/0"}', flannel: 'refused as empty', ours: `${NETWORK}, is "0.0.0.0/0"` },
  { input: '{"Network":"010.5.0.0/16"}', flannel: 'refused', ours: `${NETWORK}, is "010.5.0.0/16"` },
  { input: '{"Network":"10.5/16"}', flannel: 'refused', ours: `${NETWORK}, is "10.5/16"` },
  {
    input: '{"Network":"10.5.0.0/255.255.0.0"}',
    flannel: 'refused',
    ours: `${NETWORK}, is "10.5.0.0/255.255.0.0"`,
  },
  { input: '{"Network":" 10.5.0.0/16"}', flannel: 'refused', ours: `${NETWORK}, is " 10.5.0.0/16"` },
  { input: '{"Network":"fd00::/48"}', flannel: 'panic', ours: `${NETWORK}, is "fd00::/48"` },
  {
    input: '{"Network":"::ffff:10.5.0.0/112"}',
    flannel: 'refused: smaller than a /28',
    ours: `${NETWORK}, is "::ffff:10.5.0.0/112"`,
  },
  {
    input: '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48"}',
    flannel: 'IPv6 alone',
    ours: 'EnableIPv4: must be true: this version carries IPv4 only, is false',
  },
  { input: 'null', flannel: 'refused: no Network', ours: 'must be a JSON object, is null' },
  { input: '[]', flannel: 'refused', ours: 'must be a JSON object, is []' },
];

const FIELD_ROWS: readonly Row[] = [
  // Go's zero values, as a program in Go writes them out.
  { input: '"SubnetLen":0', flannel: '24', ours: DEFAULT },
  { input: '"SubnetLen":null', flannel: '24', ours: DEFAULT },
  { input: '"SubnetMin":"0.0.0.0"', flannel: 'left out', ours: DEFAULT },
  { input: '"SubnetMax":"0.0.0.0"', flannel: 'left out', ours: DEFAULT },
  { input: '"SubnetMin":"","SubnetMax":""', flannel: 'refused', ours: DEFAULT },
  { input: '"SubnetMin":null,"SubnetMax":null', flannel: 'refused', ours: DEFAULT },
  { input: '"EnableIPv4":null,"EnableIPv6":null', flannel: 'IPv4 alone', ours: DEFAULT },
  { input: '"EnableIPv6":false,"EnableNFTables":false', flannel: 'left out', ours: DEFAULT },
  { input: '"EnableNFTables":null', flannel: 'left out', ours: DEFAULT },
  { input: '"IPv6Network":"::/0","IPv6SubnetLen":0', flannel: 'left out', ours: DEFAULT },
  { input: '"IPv6SubnetMin":null,"IPv6SubnetMax":null', flannel: 'left out', ours: DEFAULT },
  { input: '"IPv6Network":null', flannel: 'refused', ours: DEFAULT },
  { input: '"IPv6Network":""', flannel: 'refused', ours: DEFAULT },
  { input: '"Networks":[],"IPv6Networks":null', flannel: 'ignored', ours: DEFAULT },
  // IPv6 that is not in use.
  {
    input: '"EnableIPv6":false,"IPv6Network":"fd00::/48","IPv6SubnetLen":64,"IPv6SubnetMin":"fd00:0:0:1::"',
    flannel: 'IPv4 alone',
    ours: DEFAULT,
  },
  {
    input: '"EnableIPv6":true',
    flannel: 'both families',
    ours: 'EnableIPv6: must be false: this version carries IPv4 only, is true',
  },
  { input: '"EnableIPv6":"true"', flannel: 'refused', ours: 'EnableIPv6: must be true or false, is "true"' },
  { input: '"EnableIPv4":0', flannel: 'refused', ours: 'EnableIPv4: must be true or false, is 0' },
  // Numbers and addresses.
  {
    input: '"SubnetLen":24,"subnetLEN":25',
    flannel: '25',
    ours: `10.5.0.0/16 /25 10.5.0.128 to 10.5.255.128, no backend`,
  },
  {
    input: '"SubnetLen":25,"subnetLEN":null',
    flannel: '25',
    ours: `10.5.0.0/16 /25 10.5.0.128 to 10.5.255.128, no backend`,
  },
  // JSON.parse does not tell 24.0 from 24. Taking it disagrees with no flannel: none runs with such a configuration.
  { input: '"SubnetLen":24.0', flannel: 'refused', ours: DEFAULT },
  { input: '"SubnetLen":"24"', flannel: 'refused', ours: 'SubnetLen: must be a number, is "24"' },
  {
    input: '"SubnetLen":-1',
    flannel: 'refused',
    ours: "SubnetLen: must be from 18 (Network's length + 2) to 30, is -1",
  },
  {
    input: '"SubnetMin":"10.5.8.0"',
    flannel: 'on the boundary of the default /24',
    ours: `10.5.0.0/16 /24 10.5.8.0 to 10.5.255.0, no backend`,
  },
  {
    input: '"SubnetMin":"::ffff:10.5.8.0"',
    flannel: '10.5.8.0',
    ours: `10.5.0.0/16 /24 10.5.8.0 to 10.5.255.0, no backend`,
  },
  { input: '"SubnetMin":"::"', flannel: 'panic', ours: `SubnetMin: ${ADDRESS}, is "::"` },
  { input: '"SubnetMin":"010.5.8.0"', flannel: 'refused', ours: `SubnetMin: ${ADDRESS}, is "010.5.8.0"` },
  { input: '"SubnetMin":0', flannel: 'refused', ours: `SubnetMin: ${ADDRESS}, is 0` },
  { input: '"Foo":{"bar":[1e400]},"Name":"x"', flannel: 'ignored', ours: DEFAULT },
  // The backend.
  { input: '"Backend":null', flannel: 'refused: unknown backend type', ours: DEFAULT },
  { input: '"Backend":{}', flannel: 'refused: unknown backend type', ours: DEFAULT },
  { input: '"Backend":{"Type":""}', flannel: 'refused: unknown backend type', ours: DEFAULT },
  { input: '"Backend":{"Type":null}', flannel: 'refused: unknown backend type', ours: DEFAULT },
  {
    input: '"Backend":{"VNI":7}',
    flannel: 'refused: unknown backend type',
    ours: 'Backend.Type: must be the name of a backend, is missing',
  },
  {
    input: '"Backend":{"Type":"","VNI":7}',
    flannel: 'refused: unknown backend type',
    ours: 'Backend.Type: must be the name of a backend, is missing',
  },
  {
    input: '"Backend":{"Type":7}',
    flannel: 'refused',
    ours: 'Backend.Type: must be the name of a backend, is 7',
  },
  {
    input: '"Backend":"vxlan"',
    flannel: 'refused',
    ours: 'Backend: must be an object with a Type, is "vxlan"',
  },
  { input: '"Backend":{"Type":"VxLAN"}', flannel: 'vxlan', ours: `${PLAIN}, vxlan` },
  { input: '"BACKEND":{"TYPE":"Host-GW"}', flannel: 'host-gw', ours: `${PLAIN}, host-gw` },
  { input: '"Backend":{"type":"UDP"}', flannel: 'udp', ours: `${PLAIN}, udp` },
  { input: '"Backend":{"Type":"ALLOC"}', flannel: 'alloc', ours: `${PLAIN}, alloc` },
  { input: '"Backend":{"Type":"udp","type":"vxlan"}', flannel: 'vxlan', ours: `${PLAIN}, vxlan` },
  {
    input: '"Backend":{"Type":"udp"},"backend":{"Type":"vxlan","vni":2}',
    flannel: 'the last one',
    ours: `${PLAIN}, vxlan, {"vni":2}`,
  },
  {
    input: '"Backend":{"Type":"vxlan "}',
    flannel: 'refused',
    ours: `Backend.Type: must be one of ${TYPES}, is "vxlan "`,
  },
  ...['wireguard', 'ipip', 'extension', 'WireGuard'].map((type) => ({
    input: `"Backend":{"Type":"${type}"}`,
    flannel: type.toLowerCase(),
    ours: `Backend.Type: ${type.toLowerCase()} is not supported yet: must be one of ${TYPES}, is "${type.toLowerCase()}"`,
  })),
  {
    input: '"Backend":{"Type":"host-gw","Name":"cbr0","MacPrefix":"0E-2A","DNSServerList":[]}',
    flannel: 'options of Windows, ignored',
    ours: `${PLAIN}, host-gw, {"Name":"cbr0","MacPrefix":"0E-2A","DNSServerList":[]}`,
  },
];

// Text that is no JSON: flannel refuses all of it.
const BROKEN: readonly (readonly [string, string | RegExp])[] = [
  ['\ufeff{"Network":"10.5.0.0/16"}', 'not valid JSON: it begins with a byte order mark'],
  ['\u00a0{"Network":"10.5.0.0/16"}', /^not valid JSON: Unexpected token '\\u00a0'/],
  ['{"Network":"10.5.0.0/16"} x', /^not valid JSON: /],
  ['{"Network":"10.5.0.0/16"}{}', /^not valid JSON: /],
  ['{"Network":"10.5.0.0/16",}', /^not valid JSON: /],
  ["{'Network':'10.5.0.0/16'}", /^not valid JSON: /],
  ['// a comment\n{"Network":"10.5.0.0/16"}', /^not valid JSON: /],
  ['\0{"Network":"10.5.0.0/16"}', /^not valid JSON: .*\\u0000/],
  ['“{}”', /^not valid JSON: Unexpected token '“'/],
  ['', 'not valid JSON: Unexpected end of JSON input'],
];

describe('a network configuration in an odd spelling', () => {
  it.each(NETWORK_ROWS)('$input is to flannel: $flannel', async ({ input, ours }) => {
    expect(await meaning(input)).toBe(ours);
  });

  it.each(FIELD_ROWS)('a configuration with $input is to flannel: $flannel', async ({ input, ours }) => {
    expect(await meaning(withFields(input))).toBe(ours);
  });

  it.each(BROKEN)('%j is refused', async (input, ours) => {
    expect(await meaning(input)).toEqual(typeof ours === 'string' ? ours : expect.stringMatching(ours));
  });

  it('a byte order mark has a remedy', async () => {
    await expect(readNetwork('\ufeff{}', WHERE, [])).rejects.toMatchObject({
      hint: 'save the text as UTF-8 without a byte order mark',
    });
  });
});

describe('backend options with Go’s zero values', () => {
  const plain = parseVxlanOptions({}, WHERE);
  it.each([
    // flannel's default stands in the struct before the text is read into it, so that 0 is VNI 0.
    ['{"VNI":0}', 'VNI 0', { vni: 0 }],
    ['{"VNI":null}', 'VNI 1', {}],
    ['{"Port":0}', 'the kernel’s port, 8472', {}],
    ['{"Port":null}', 'the kernel’s port, 8472', {}],
    ['{"MTU":0}', 'the kernel’s MTU; subnet.env gets -50', {}],
    ['{"MTU":null}', 'the MTU of the underlay', {}],
    ['{"GBP":false,"Learning":false,"DirectRouting":false}', 'left out', {}],
    ['{"GBP":null,"Learning":null,"DirectRouting":null}', 'left out', {}],
    ['{"vni":7,"VNI":null}', 'VNI 7', { vni: 7 }],
    ['{"VNI":7,"vni":8}', 'VNI 8', { vni: 8 }],
  ])('vxlan %s is to flannel: %s', (text, _, expected) => {
    expect(parseVxlanOptions(JSON.parse(text), WHERE)).toEqual({ ...plain, ...expected });
  });

  it.each([
    ['{"Port":0}', 'a port by chance, which no peer finds', 8285],
    ['{"Port":null}', '8285', 8285],
    ['{"port":9000}', '9000', 9000],
  ])('udp %s is to flannel: %s', (text, _, port) => {
    expect(parseUdpOptions(JSON.parse(text), WHERE)).toEqual({ port });
  });
});
