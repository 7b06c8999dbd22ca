// Keys and values that a hostile writer makes up: of every odd form, and almost right.
import type { JsonValue } from '../../../agent/base/schema.ts';
import { addressAt, type Prefix } from '../../../agent/model/ip.ts';
import type { NetworkConfig } from '../../../agent/model/network-config.ts';
import type { Chance } from './chance.ts';

/** The value of a lease before it is text. */
export type Fields = Readonly<Record<string, JsonValue>>;

/** Most stores take 1.5 MiB in one request. */
const LARGE_BYTES = 60 * 1024;
const TOO_LARGE_BYTES = 1_200 * 1024;

const VALUES = [
  '',
  ' ',
  '{',
  '{}',
  'null',
  '[]',
  '7',
  '"10.5.1.0"',
  '\u0000\u001b[2J',
  '\ufeff{"PublicIP":"192.168.77.240"}',
  '{"PublicIP":"192.168.77.240",}',
  "{'PublicIP':'192.168.77.240'}",
  '{"PublicIP":7}',
  '{"PublicIP":null}',
  '{"PublicIP":["192.168.77.240"]}',
  '{"PublicIP":{"toString":"192.168.77.240"}}',
  '{"PublicIP":"::1"}',
  '{"PublicIP":"192.168.77.240/24"}',
  '{"PublicIP":"0300.0250.77.240"}',
  '{"PublicIP":"192.168.77.240\\n"}',
  '{"PublicIP":"192.168.77.240","PublicIP":"192.168.77.241"}',
  '{"publicip":"192.168.77.240","PUBLICIP":"192.168.77.241"}',
  '{"PublicIP":"192.168.77.240","BackendType":7}',
  '{"PublicIP":"192.168.77.240","BackendType":"__proto__"}',
  '{"PublicIP":"192.168.77.240","BackendType":"vxlan","BackendData":1e999}',
  '{"PublicIP":"192.168.77.240","BackendType":"vxlan","BackendData":{"VNI":-1,"VtepMAC":{}}}',
  '{"PublicIP":"192.168.77.240","Node":{"ID":"\\u0000","MAC":7,"Name":[]}}',
  '{"__proto__":{"PublicIP":"192.168.77.240"},"PublicIP":"192.168.77.241"}',
  '{"constructor":{"prototype":{}},"PublicIP":"192.168.77.241","toString":1,"hasOwnProperty":null}',
  '{"Asked":{"__proto__":null},"PublicIP":"192.168.77.241"}',
] as const;

const LARGE_VALUES: readonly (() => string)[] = [
  () => '['.repeat(LARGE_BYTES),
  () => '{"a":'.repeat(LARGE_BYTES / 5),
  () => `{"PublicIP":"192.168.77.240","deep":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
  () => `{"PublicIP":"192.168.77.240","number":${'9'.repeat(LARGE_BYTES)}}`,
  () => `{"PublicIP":"192.168.77.240","extra":"${'x'.repeat(LARGE_BYTES)}"}`,
  () => `{"PublicIP":"192.168.77.240","extra":"${'x'.repeat(TOO_LARGE_BYTES)}"}`,
  () => `{"PublicIP":"192.168.77.240",${fieldsOfNumber(2_000)}}`,
  () => `{"PublicIP":"192.168.77.240","Node":{"ID":"0000000000000000","Name":"${'n'.repeat(253)}"}}`,
  () => 'x'.repeat(TOO_LARGE_BYTES),
];

const WORDS =
  '{ } [ ] " : , \\ - & / . % %2f 0 1 24 25 32 255 ffff :: null true 1e999 -0 0.0.0.0 \\u0000'.split(' ');
const PIECES = [
  ...WORDS,
  '\n',
  '\u001b[31m',
  '\u202e',
  '\ud800',
  '\u00e9',
  '99999999999999999999',
  '"__proto__":{"a":1},',
  '"constructor":null,',
  '"PublicIP":["10.0.0.1"],',
  '"Node":{},',
  '"Asked":{},',
  '['.repeat(90),
  'ff:ff:ff:ff:ff:ff',
  '00:00:00:00:00:00',
];

/** Addresses that no peer can have. */
const NO_HOSTS = ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'];
const NO_MACS = ['', 'x', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '02:00:00:00:00'];

/** A value that is no lease, or hardly one. */
export function oddValue({ pick }: Chance): string {
  return pick(VALUES);
}

/** The same, as large as a store takes it or larger. */
export function largeValue({ pick }: Chance): string {
  return pick(LARGE_VALUES)();
}

/** A value that is surely no lease. */
export function noLease({ pick }: Chance): string {
  return pick(['', '{', 'null', '[]', '{"PublicIP":7}', '{"PublicIP":"::1"}', '['.repeat(5_000)]);
}

/** A key that names no subnet that a node could lease, near `subnet` or not. */
export function oddKey({ pick, upTo }: Chance, { address, length }: Prefix): string {
  const [a, b, c] = address.split('.');
  const key = `${address}-${length}`;
  // The first one is empty.
  const simple =
    '| / // x . .. ../config % %00 - & -24 \u0000 \ud800 \u202e ::-0 fd00:5:22::-64 \u0661\u0660.5.1.0-24';
  return pick([
    ...simple.slice(1).split(' '),
    address,
    `${address}-`,
    `${address}-33`,
    `${address}--1`,
    `${address}-0${length}`,
    `${address}/24`,
    `${address}%2d${length}`,
    `${address}\u2212${length}`,
    `${a}.${b}.${c}.1-${length}`,
    `${a}.${b}.${c}.256-${length}`,
    `0${a}.${b}.${c}.0-${length}`,
    `${key}&`,
    `${key}/x`,
    `${key} `,
    ` ${key}`,
    `${key}%2f`,
    `${key}\n`,
    `${key}&::-64`,
    `${key}&${key}`,
    `fd00::-64&${key}`,
    `k${upTo(1_000_000)}`,
    `${key}${'/'.repeat(1_000)}`,
    'x'.repeat(1_000),
    'a/'.repeat(500),
    '\u00e9'.repeat(500),
  ]);
}

/** A subnet of another length in or around `subnet`, as a key. */
export function otherLength({ pick, upTo }: Chance, { address, length }: Prefix): string {
  const [a, b, c] = address.split('.');
  const inner = pick([length + 1, length + 2, 30, 31, 32]);
  const size = 2 ** (32 - inner);
  const offset = upTo(2 ** (inner - length)) * size;
  const around = pick([length - 1, 20, 16, 12, 8, 1]);
  const outer = [
    `${a}.${b}.${Number(c) & ~1}.0-${length - 1}`,
    `${a}.${b}.0.0-16`,
    '10.0.0.0-8',
    '0.0.0.0-1',
    '0.0.0.0-0',
  ];
  const inside = `${addressAt({ family: 'ipv4', address, length }, offset)}-${inner}`;
  return pick([inside, inside, inside, ...outer, `${address}-${around}`]);
}

/** The text of an address that no peer of the cluster has: mostly a possible one. */
export function anyAddress({ pick, is, upTo }: Chance): string {
  return is(0.2) ? pick(NO_HOSTS) : `192.168.${pick([77, 77, 78, 79])}.${200 + upTo(50)}`;
}

/** The text of a MAC that no peer of the cluster has: mostly a possible one. */
function anyMac({ pick, is, upTo }: Chance): string {
  return is(0.2) ? pick(NO_MACS) : `02:bb:${hex(upTo(256))}:${hex(upTo(256))}:00:01`;
}

export function anyNode({ upTo }: Chance): Fields {
  const n = upTo(1 << 24).toString(16);
  return { ID: n.padStart(16, 'e'), MAC: anyNodeMac(n), Name: `stranger-${n}` };
}

/** The fields of a lease of a node that is not there. */
export function anyFields(chance: Chance, { backend }: NetworkConfig): Fields {
  const { pick, is } = chance;
  const type = is(0.85)
    ? backend.type
    : pick(['udp', 'wireguard', 'host-gw', 'ipip', 'x'.repeat(300), '__proto__']);
  return {
    PublicIP: anyAddress(chance),
    PublicIPv6: is(0.1) ? 'fd00::1' : null,
    BackendType: type,
    BackendData: { VNI: 1, VtepMAC: anyMac(chance) },
    ...(is(0.5) ? { Node: anyNode(chance) } : {}),
  };
}

/** What no node of the cluster announces: nobody reaches it by that. */
export function otherAnnouncement(chance: Chance): Fields {
  return chance.pick([
    { BackendData: null },
    { BackendData: { VNI: 1, VtepMAC: anyMac(chance) } },
    { BackendType: 'wireguard' },
  ]);
}

/** The same text with a few pieces cut out or put in. */
export function mutate({ pick, is, upTo }: Chance, text: string): string {
  let result = text;
  for (let n = 1 + upTo(3); n > 0; n--) {
    const at = upTo(result.length + 1);
    const cut = is(0.5) ? 0 : upTo(12);
    result = result.slice(0, at) + (is(0.7) ? pick(PIECES) : '') + result.slice(at + cut);
  }
  return result;
}

function anyNodeMac(digits: string): string {
  return `52:54:00:${digits.padStart(6, '0').replace(/(..)(..)(..)/, '$1:$2:$3')}`;
}

function fieldsOfNumber(count: number): string {
  return Array.from({ length: count }, (_, n) => `"k${n}":${n}`).join(',');
}

function hex(n: number): string {
  return n.toString(16).padStart(2, '0');
}
