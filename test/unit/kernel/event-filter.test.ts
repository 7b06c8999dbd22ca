import { describe, expect, it } from 'vitest';
import { formatAddressFilter, formatEventFilter } from '../../../agent/kernel/netlink/event-filter.ts';
import { formatPayload, u16, u32 } from '../../../agent/kernel/netlink/payload.ts';
import { addressBytes } from '../../../agent/model/ip.ts';
import { prefix } from '../../support/build.ts';

// rtnetlink's numbers of new links, addresses, routes and neighbours. A deletion is the next one.
const [LINK, ADDRESS, ROUTE, NEIGHBOUR] = [16, 20, 24, 28];

/** The kernel's machine for classic BPF, as far as the filter needs one. True: the message passes. */
function passes(filter: ReturnType<typeof formatEventFilter>, message: Buffer): boolean {
  let [loaded, index] = [0, 0];
  for (let at = 0; filter !== undefined; at++) {
    const [code, ifTrue, ifFalse, number] = filter[at] ?? [0, 0, 0, 0];
    if (code === 0x20 && number === 0xffff_f00c) loaded = findAttribute(message, loaded, index);
    else if (code === 0x20) loaded = message.readUInt32BE(number);
    else if (code === 0x40) loaded = message.readUInt32BE(index + number);
    else if (code === 0x00) loaded = number;
    else if (code === 0x01) index = number;
    else if (code === 0x07) index = loaded;
    else if (code === 0x54) loaded = (loaded & number) >>> 0;
    else if (code === 0x25) at += loaded > number ? ifTrue : ifFalse;
    else if (code === 0x28) loaded = message.readUInt16BE(number);
    else if (code === 0x30) loaded = message.readUInt8(number);
    else if (code === 0x05) at += number;
    else if (code === 0x15) at += loaded === number ? ifTrue : ifFalse;
    else if (code === 0x06) return number !== 0;
    else throw new Error(`no instruction ${code} at ${at}`);
  }
  throw new Error('the program has no end');
}

function findAttribute(message: Buffer, from: number, type: number): number {
  for (let at = from; at + 4 <= message.length; at += (message.readUInt16LE(at) + 3) & ~3)
    if (message.readUInt16LE(at + 2) === type) return at;
  return 0;
}

const messageOf = (type: number, payload: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from([...u32(16 + payload.length), ...u16(type), ...Array<number>(10).fill(0)]),
    payload,
  ]);

const link = (type: number, index: number, name: string): Buffer => {
  const header = [0, 0, 0, 0, ...u32(index), ...Array<number>(8).fill(0)];
  return messageOf(
    type,
    formatPayload(header, [
      [3, [...Buffer.from(`${name}\0`)]],
      [4, u32(1500)],
    ]),
  );
};
const entry = (type: number, index: number): Buffer =>
  messageOf(type, formatPayload([2, 0, 0, 0, ...u32(index), 0, 0, 0, 0], []));
interface RouteParts {
  readonly length?: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly type?: number;
  /** 0: it has none. */
  readonly link?: number;
}
const route = (
  message: number,
  { length = 32, table = 254, protocol = 4, type = 1, link = 3 }: RouteParts,
): Buffer =>
  messageOf(
    message,
    formatPayload(
      [2, length, 0, 0, table, protocol, 0, type, 0, 0, 0, 0],
      [[1, [10, 0, 0, 0]], ...(link === 0 ? [] : [[4, u32(link)] as const])],
    ),
  );

describe('formatEventFilter', () => {
  const links = { indexes: [2, 70_000], names: ['eth0', 'eth', 'enp0s31f6np0.77'] };
  const filter = formatEventFilter({ ...links, reader: 'reconciler' });
  it.each([
    ['a link of a known index', link(LINK, 70_000, 'other'), true],
    ['a link of a known name', link(LINK, 9, 'eth0'), true],
    ['a link of a known name with as many bytes as words hold', link(LINK, 9, 'eth'), true],
    ['a link of the longest name', link(LINK, 9, 'enp0s31f6np0.77'), true],
    ['a link whose name may be ours', link(LINK, 9, 'flannel.1'), true],
    ['a deleted link of a known name', link(LINK + 1, 9, 'eth0'), true],
    ['another link', link(LINK, 9, 'veth12345'), false],
    ['a link whose name begins as a known one', link(LINK, 9, 'eth01'), false],
    ['another deleted link', link(LINK + 1, 3, 'veth12345'), false],
    ['an address on a known link', entry(ADDRESS, 2), true],
    ['an address on another link', entry(ADDRESS, 3), false],
    ['a deleted address on another link', entry(ADDRESS + 1, 3), false],
    ['a neighbour on a known link', entry(NEIGHBOUR + 1, 70_000), true],
    ['a neighbour on another link', entry(NEIGHBOUR, 7), false],
    ['a message of another kind', entry(99, 3), true],
  ])('the filter judges %s', (_, message, expected) => {
    expect(passes(filter, message)).toBe(expected);
  });

  it.each([
    ['our route', { protocol: 84 }, { reconciler: true, underlay: false }],
    ['our blackhole', { protocol: 84, type: 6, link: 0, length: 24 }, { reconciler: true, underlay: false }],
    ['a default route out of another link', { length: 0 }, { reconciler: true, underlay: true }],
    ['a wide route out of another link', { length: 30 }, { reconciler: true, underlay: false }],
    ['a wide blackhole', { length: 24, type: 6, link: 0 }, { reconciler: true, underlay: false }],
    [
      'a connected route of a known link',
      { link: 70_000, protocol: 2 },
      { reconciler: true, underlay: true },
    ],
    [
      'a route of another table out of a known link',
      { table: 100, link: 2 },
      { reconciler: true, underlay: true },
    ],
    ['a route with several links', { link: 0 }, { reconciler: true, underlay: true }],
    ['a route to one address out of another link', {}, { reconciler: false, underlay: false }],
    ['a blackhole for one address', { type: 6, link: 0 }, { reconciler: false, underlay: false }],
    ['a route of a local address', { table: 255, link: 2 }, { reconciler: false, underlay: false }],
  ] as const)('the filter judges %s', (_, parts, expected) => {
    const underlay = formatEventFilter({ ...links, reader: 'underlay' });
    for (const message of [ROUTE, ROUTE + 1].map((type) => route(type, parts)))
      expect({ reconciler: passes(filter, message), underlay: passes(underlay, message) }).toEqual(expected);
  });

  it('there is no filter for more links than it can save', () => {
    expect(
      formatEventFilter({ indexes: Array.from({ length: 100 }, (_, i) => i), names: [], reader: 'underlay' }),
    ).toBeUndefined();
  });
});

describe('formatAddressFilter', () => {
  const address = (type: number, text: string): Buffer =>
    messageOf(type, payloadOf(text, [0, 0, 0, ...u32(9)], 1));
  const connected = (type: number, text: string, table = 254, protocol = 2): Buffer =>
    messageOf(type, payloadOf(text, [0, 0, table, protocol, 0, 1, 0, 0, 0, 0], 1, [[15, u32(table)]]));

  // Family and length, the rest of the header, and an attribute of the prefix behind others.
  function payloadOf(
    text: string,
    rest: readonly number[],
    attribute: number,
    before: readonly (readonly [number, readonly number[]])[] = [],
  ): Buffer {
    const { address: of, length } = prefix(text);
    const header = [2, length, ...rest].slice(0, before.length > 0 ? 12 : 8);
    return formatPayload(header, [...before, [attribute, addressBytes(of)]]);
  }

  it.each([
    ['an address in it', address(ADDRESS, '10.5.34.1/24'), true],
    ['an address of it that has gone', address(ADDRESS + 1, '10.5.34.1/24'), true],
    ['an address whose network is it', address(ADDRESS, '10.5.0.1/16'), true],
    ['an address whose network covers it', address(ADDRESS, '10.0.0.9/8'), true],
    ['an address beside it', address(ADDRESS, '10.6.34.1/24'), false],
    ['a route that comes with an address in it', connected(ROUTE, '10.5.34.0/24'), true],
    ['a route that comes with an address beside it', connected(ROUTE, '10.6.34.0/24'), false],
    ['the route of a local address', connected(ROUTE, '10.5.34.1/32', 255), false],
    ['a route of another program', connected(ROUTE, '10.5.34.0/24', 254, 84), false],
    ['a route that has gone', connected(ROUTE + 1, '10.5.34.0/24'), false],
    ['a link', link(LINK, 9, 'docker0'), false],
  ])('the filter of a network judges %s', (_, message, expected) => {
    const bits = Buffer.from(addressBytes('10.5.0.0')).readUInt32BE(0);
    expect(passes(formatAddressFilter(bits, 16), message)).toBe(expected);
  });

  it('the filter of all addresses passes each of them', () => {
    expect(passes(formatAddressFilter(0, 0), address(ADDRESS, '192.168.77.1/24'))).toBe(true);
  });
});
