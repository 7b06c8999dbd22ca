import { describe, expect, it } from 'vitest';
import { formatEventFilter } from '../../../agent/kernel/netlink/event-filter.ts';
import { formatPayload, u16, u32 } from '../../../agent/kernel/netlink/payload.ts';

// rtnetlink's numbers of new links, addresses, routes and neighbours. A deletion is the next one.
const [LINK, ADDRESS, ROUTE, NEIGHBOUR] = [16, 20, 24, 28];

/** The kernel's machine for classic BPF, as far as the filter needs one. True: the message passes. */
function passes(filter: ReturnType<typeof formatEventFilter>, message: Buffer): boolean {
  let loaded = 0;
  for (let at = 0; filter !== undefined; at++) {
    const [code, ifTrue, ifFalse, number] = filter[at] ?? [0, 0, 0, 0];
    if (code === 0x20) loaded = message.readUInt32BE(number);
    else if (code === 0x28) loaded = message.readUInt16BE(number);
    else if (code === 0x30) loaded = message.readUInt8(number);
    else if (code === 0x05) at += number;
    else if (code === 0x15) at += loaded === number ? ifTrue : ifFalse;
    else if (code === 0x06) return number !== 0;
    else throw new Error(`no instruction ${code} at ${at}`);
  }
  throw new Error('the program has no end');
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
const route = (type: number, table: number): Buffer =>
  messageOf(type, formatPayload([2, 32, 0, 0, table, 4, 0, 1, 0, 0, 0, 0], []));

describe('formatEventFilter', () => {
  const filter = formatEventFilter({ indexes: [2, 70_000], names: ['eth0', 'eth', 'enp0s31f6np0.77'] });
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
    ['a route of the main table', route(ROUTE, 254), true],
    ['a route of a table of the operator', route(ROUTE, 100), true],
    ['a route of a local address', route(ROUTE + 1, 255), false],
    ['a message of another kind', entry(99, 3), true],
  ])('the filter judges %s', (_, message, expected) => {
    expect(passes(filter, message)).toBe(expected);
  });

  it('there is no filter for more links than it can save', () => {
    expect(
      formatEventFilter({ indexes: Array.from({ length: 100 }, (_, i) => i), names: [] }),
    ).toBeUndefined();
  });
});
