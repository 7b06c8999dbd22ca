// Real sockets on the loopback.
import { describe, expect, it } from 'vitest';
import {
  attachUdpSocket,
  createReceiver,
  errnoName,
  openUdpSocket,
  type Sender,
  SystemError,
} from '../src/index.ts';
import { SOL_SOCKET } from '../src/numbers.ts';
import { setOption } from '../src/socket-options.ts';
import { datagramsOf, isPayload, LOOPBACK, openPair, receiveAll } from './pair.ts';

// Of <asm-generic/socket.h>: a socket that sends no checksums cannot send runs.
const SO_NO_CHECK = 11;

const refusals = (sender: Sender, count: number): readonly (readonly [number, string])[] =>
  Array.from({ length: count }, (_, i) => [sender.refusedMessage(i), errnoName(sender.refusedErrno(i))]);

describe('datagrams', () => {
  it.each([0, 1, 2, 27, 28, 576, 1399, 1472, 9000, 65_506, 65_507])(
    'of %i bytes arrive as they are',
    (bytes) => {
      using pair = openPair();
      pair.sender.begin(LOOPBACK, pair.to.port, 0);
      pair.sender.append(pair.payload, bytes);
      expect(pair.sender.flush()).toBe(0);
      const [message, ...others] = bytes === 0 ? waitForOne(pair) : pair.receiveBytes(bytes);
      expect(others).toEqual([]);
      expect(message).toMatchObject({
        segmentBytes: bytes,
        address: LOOPBACK,
        port: pair.from.port,
        isTruncated: false,
      });
      expect(message?.bytes.length).toBe(bytes);
      expect(isPayload(message?.bytes ?? new Uint8Array())).toBe(true);
    },
  );

  it('are gathered from pieces at odd places', () => {
    using pair = openPair();
    pair.sender.begin(LOOPBACK, pair.to.port, 0);
    for (const [from, to] of [
      [1, 4],
      [4, 4],
      [4, 1001],
      [1001, 1002],
    ] as const)
      pair.sender.append(pair.payload + from, to - from);
    expect(pair.sender.flush()).toBe(0);
    const [message] = pair.receiveBytes(1001);
    expect(message?.bytes.length).toBe(1001);
    expect(isPayload(message?.bytes ?? new Uint8Array(), 1)).toBe(true);
  });

  it('arrive in order, batch after batch, and room is free again after each flush', () => {
    using pair = openPair({ receiver: { messages: 5, messageBytes: 2048 } });
    const sizes = Array.from({ length: 150 }, (_, i) => ((i * 37) % 1500) + 1);
    for (const [i, bytes] of sizes.entries()) {
      pair.sender.begin(LOOPBACK, pair.to.port, 0);
      pair.sender.append(pair.payload + i, bytes);
      if (pair.sender.freeMessages() === 0) expect(pair.sender.flush()).toBe(0);
    }
    expect(pair.sender.flush()).toBe(0);
    expect([pair.sender.freeMessages(), pair.sender.freePieces(), pair.sender.flush()]).toEqual([64, 256, 0]);
    const messages = pair.receiveBytes(sizes.reduce((sum, bytes) => sum + bytes, 0));
    expect(messages.map(({ bytes }) => bytes.length)).toEqual(sizes);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, i))).toBe(true);
  });

  it('are sent to addresses with or without a sign', () => {
    using pair = openPair();
    // To the broadcast address, which has the highest bit: refused by right, not by its form.
    for (const address of [0xffffffff, -1, LOOPBACK]) {
      pair.sender.begin(address, pair.to.port, 0);
      pair.sender.append(pair.payload, 7);
    }
    const refused = pair.sender.flush();
    expect(new Set(refusals(pair.sender, refused).map(([, name]) => name)).size).toBe(1);
    expect([refused, pair.receiveBytes(7).length]).toEqual([2, 1]);
  });

  it('go to the peer that each is for, in one flush', () => {
    using one = openPair();
    using other = openPair();
    for (const { port } of [one.to, other.to, one.to]) {
      one.sender.begin(LOOPBACK, port, 0);
      one.sender.append(one.payload, (port % 100) + 1);
    }
    expect(one.sender.flush()).toBe(0);
    const ofOne = (one.to.port % 100) + 1;
    expect(one.receiveBytes(2 * ofOne).map(({ bytes }) => bytes.length)).toEqual([ofOne, ofOne]);
    const [message] = other.receiveBytes((other.to.port % 100) + 1);
    expect(message).toMatchObject({ address: LOOPBACK, port: one.from.port });
  });

  it('that are longer than the room for them are said to be cut off', () => {
    using pair = openPair({ receiver: { messages: 4, messageBytes: 100 } });
    for (const bytes of [101, 100, 5000]) {
      pair.sender.begin(LOOPBACK, pair.to.port, 0);
      pair.sender.append(pair.payload, bytes);
    }
    expect(pair.sender.flush()).toBe(0);
    const messages = pair.receiveBytes(300);
    expect(messages.map(({ bytes, isTruncated }) => [bytes.length, isTruncated])).toEqual([
      [100, true],
      [100, false],
      [100, true],
    ]);
    expect(messages.every(({ bytes }) => isPayload(bytes))).toBe(true);
  });

  it('that the kernel refuses are named by their place, and the others are sent', () => {
    using pair = openPair();
    for (const bytes of [10, 65_508, 20, 65_536, 30]) {
      pair.sender.begin(LOOPBACK, pair.to.port, 0);
      pair.sender.append(pair.payload, bytes);
    }
    const refused = pair.sender.flush();
    expect(refusals(pair.sender, refused)).toEqual([
      [1, 'EMSGSIZE'],
      [3, 'EMSGSIZE'],
    ]);
    expect(pair.receiveBytes(60).map(({ bytes }) => bytes.length)).toEqual([10, 20, 30]);
  });
});

function waitForOne(pair: ReturnType<typeof openPair>): ReturnType<typeof receiveAll> {
  const endMs = performance.now() + 2_000;
  while (performance.now() < endMs) {
    const messages = receiveAll(pair.arena, pair.receiver);
    if (messages.length > 0) return messages;
  }
  return [];
}

// The kernel's segmentation and coalescing, each with and without.
const MODES = [
  { segmentation: true, coalescing: true },
  { segmentation: true, coalescing: false },
  { segmentation: false, coalescing: true },
  { segmentation: false, coalescing: false },
];

describe.each(MODES)(
  'runs with segmentation $segmentation and coalescing $coalescing',
  ({ segmentation, coalescing }) => {
    const open = () => openPair({ from: { segmentation }, to: { coalescing } });

    it('are what the sockets say', () => {
      using pair = open();
      expect(pair.from.canSegment).toBe(segmentation);
      expect(pair.to.canCoalesce).toBe(coalescing);
    });

    it.each([
      [1000, 10_000],
      [1000, 10_001],
      [1000, 999],
      [1000, 1000],
      [1000, 1001],
      [1, 64],
      [1399, 64 * 1399],
      [1472, 44 * 1472],
      [32_000, 65_000],
    ])('of %i-byte datagrams, %i bytes in all, arrive whole', (segmentBytes, wanted) => {
      const bytes = Math.min(wanted, 65_507);
      using pair = open();
      pair.sender.begin(LOOPBACK, pair.to.port, segmentBytes);
      // A header and a body for each, as one that writes headers of its own does, and pieces of odd lengths.
      for (let at = 0; at < bytes; ) {
        const length = Math.min(at % 3 === 0 ? 301 : 700, bytes - at);
        pair.sender.append(pair.payload + at, length);
        at += length;
      }
      expect(pair.sender.flush()).toBe(0);
      const messages = pair.receiveBytes(bytes);
      const datagrams = datagramsOf(messages);
      const count = Math.ceil(bytes / segmentBytes);
      expect(datagrams.map(({ length }) => length)).toEqual(
        Array.from({ length: count }, (_, i) => Math.min(segmentBytes, bytes - i * segmentBytes)),
      );
      expect(datagrams.every((datagram, i) => isPayload(datagram, i * segmentBytes))).toBe(true);
      if (!coalescing) expect(messages.length).toBe(count);
      // What is longer than a device takes at once the kernel cuts on its way.
      else if (segmentation && bytes <= 65_000) expect(messages.length).toBe(1);
      expect(pair.from.canSegment).toBe(segmentation);
    });

    it('mix with single datagrams and keep their order', () => {
      using pair = open();
      const lengths: number[] = [];
      for (let i = 0; i < 40; i += 1) {
        const datagrams = i % 4;
        pair.sender.begin(LOOPBACK, pair.to.port, datagrams === 0 ? 0 : 200 + i);
        for (let n = 0; n < Math.max(1, datagrams); n += 1) {
          pair.sender.append(pair.payload + n * (200 + i), 200 + i);
          lengths.push(200 + i);
        }
      }
      expect(pair.sender.flush()).toBe(0);
      const messages = pair.receiveBytes(lengths.reduce((sum, bytes) => sum + bytes, 0));
      expect(datagramsOf(messages).map(({ length }) => length)).toEqual(lengths);
    });

    it('whose datagrams are too long are refused, and the kernel may cut others', () => {
      using pair = open();
      pair.sender.begin(LOOPBACK, pair.to.port, 40_000);
      pair.sender.append(pair.payload, 65_536);
      pair.sender.append(pair.payload, 65_536);
      expect(pair.sender.flush()).toBeLessThanOrEqual(1);
      expect(pair.from.canSegment).toBe(segmentation);
    });
  },
);

describe('a run that the kernel will not cut', () => {
  it('is cut by the sender, and no further one is tried', () => {
    using pair = openPair({ to: { coalescing: false } });
    setOption(pair.from.fd, SOL_SOCKET, SO_NO_CHECK, 1, 'test');
    for (let i = 0; i < 3; i += 1) {
      pair.sender.begin(LOOPBACK, pair.to.port, 100);
      pair.sender.append(pair.payload + i, 950);
    }
    expect(pair.from.canSegment).toBe(true);
    expect(pair.sender.flush()).toBe(0);
    expect(pair.from.canSegment).toBe(false);
    const messages = pair.receiveBytes(2850);
    expect(messages.map(({ bytes }) => bytes.length)).toEqual([...RUN_OF_950, ...RUN_OF_950, ...RUN_OF_950]);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, Math.floor(i / 10) + (i % 10) * 100))).toBe(
      true,
    );
  });

  it('because it has too many datagrams is cut by the sender, and others are left to the kernel', () => {
    using pair = openPair({ to: { coalescing: false } });
    pair.sender.begin(LOOPBACK, pair.to.port, 10);
    pair.sender.append(pair.payload, 5_000);
    expect(pair.sender.flush()).toBe(0);
    expect(pair.from.canSegment).toBe(true);
    const messages = pair.receiveBytes(5_000);
    expect(messages.length).toBe(500);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, i * 10))).toBe(true);
  });
});

const RUN_OF_950 = [...Array.from({ length: 9 }, () => 100), 50];

describe('a socket', () => {
  it.each([-1, 65_536, Number.NaN])('sends no datagrams of %j bytes', (segmentBytes) => {
    using pair = openPair();
    expect(() => pair.sender.begin(LOOPBACK, 1, segmentBytes)).toThrow(RangeError);
  });

  it('whose port is taken is not opened, and says so as the system does', () => {
    using first = openUdpSocket({ address: LOOPBACK, port: 0 });
    const open = () => openUdpSocket({ address: LOOPBACK, port: first.port });
    expect(open).toThrow(SystemError);
    expect(open).toThrow(`cannot open UDP port ${first.port} of 127.0.0.1: bind: EADDRINUSE`);
    expect(open).toThrow(expect.objectContaining({ syscall: 'bind', code: 'EADDRINUSE', errno: 98 }));
  });

  it('says what a path takes: 65,507 bytes where there is no smaller limit', () => {
    using socket = openUdpSocket({ address: 0, port: 0 });
    expect(socket.pathPayloadBytes(LOOPBACK)).toBe(65_507);
  });

  it('is closed once, and gives minus the errno afterwards', () => {
    const { from, to, receiver, sender, payload } = openPair();
    from[Symbol.dispose]();
    to[Symbol.dispose]();
    to[Symbol.dispose]();
    expect([from.fd, to.fd]).toEqual([-1, -1]);
    expect(receiver.receive()).toBe(-9);
    expect(from.pathPayloadBytes(LOOPBACK)).toBeUndefined();
    sender.begin(LOOPBACK, 1, 0);
    sender.append(payload, 1);
    expect(sender.flush()).toBe(1);
    expect(refusals(sender, 1)).toEqual([[0, 'EBADF']]);
  });

  it('that is attached is the same one, and stays open when it is disposed of', () => {
    using pair = openPair();
    const { fd, port, canSegment, canCoalesce } = pair.to;
    const handle = structuredClone({ fd, port, canSegment, canCoalesce });
    const attached = attachUdpSocket(handle);
    const receiver = createReceiver(pair.arena, attached, { messages: 1, messageBytes: 100 });
    pair.sender.begin(LOOPBACK, attached.port, 0);
    pair.sender.append(pair.payload, 42);
    pair.sender.flush();
    let messages = receiveAll(pair.arena, receiver);
    for (let i = 0; i < 1e6 && messages.length === 0; i += 1) messages = receiveAll(pair.arena, receiver);
    expect(messages[0]?.bytes.length).toBe(42);
    expect(attached.pathPayloadBytes(LOOPBACK)).toBe(65_507);
    attached[Symbol.dispose]();
    expect(pair.receiver.receive()).toBe(0);
  });
});
