// The package's own parser reads our payloads, and its writer gives the same bytes.
import { AttrStream } from 'netlink/dist/structs.js';
import { describe, expect, it } from 'vitest';
import { formatPayload, u16, u32 } from '../../../agent/kernel/netlink/payload.ts';

describe('a payload', () => {
  it('a payload has its header first, and each attribute on a boundary of four bytes', () => {
    expect([...formatPayload([2, 0, 0, 0], [])]).toEqual([2, 0, 0, 0]);
    const bytes = formatPayload(
      [1, 2, 3, 4],
      [
        [1, [10, 5, 2, 0]],
        [2, [2, 0, 0, 0, 0, 9]],
        [3, []],
      ],
    );
    const parts = [
      [1, 2, 3, 4],
      [8, 0, 1, 0, 10, 5, 2, 0],
      [10, 0, 2, 0, 2, 0, 0, 0, 0, 9, 0, 0],
      [4, 0, 3, 0],
    ];
    expect([...bytes]).toEqual(parts.flat());
  });

  it('a payload equals the bytes that the package writes', () => {
    const stream = new AttrStream();
    stream.push(1, Buffer.from([10, 5, 2, 0]));
    stream.push(2, Buffer.from([2, 0, 0, 0, 0, 9]));
    stream.push(4, Buffer.from([1, 0, 0, 0]));
    const ours = formatPayload(
      [],
      [
        [1, [10, 5, 2, 0]],
        [2, [2, 0, 0, 0, 0, 9]],
        [4, u32(1)],
      ],
    );
    expect(ours).toEqual(Buffer.concat(stream.bufs));
  });

  it('a payload has numbers in little-endian order', () => {
    expect([...u16(0x1234)]).toEqual([0x34, 0x12]);
    expect([...u32(0xffff_fffe)]).toEqual([0xfe, 0xff, 0xff, 0xff]);
  });
});
