// Single datagrams between real sockets on the loopback, over both families.
import { describe, expect, it } from 'vitest';
import { createPoller, createReceiver, createSender } from '../src/index.ts';
import { FAMILIES, isPayload, openPair, receiveAll, refusals } from './pair.ts';

describe.each(FAMILIES)('datagrams over $family', ({ address, most }) => {
  it.each([0, 1, 2, 27, 28, 576, 1399, 1472, 9000, most - 1, most])(
    'datagrams of %i bytes arrive as they were sent',
    (bytes) => {
      using pair = openPair({ address });
      pair.sender.begin(pair.target, 0);
      pair.sender.append(pair.payload, bytes);
      expect(pair.sender.flush()).toBe(0);
      const [message, ...others] = bytes === 0 ? waitForOne(pair) : pair.receiveBytes(bytes);
      expect(others).toEqual([]);
      expect(message).toMatchObject({
        segmentBytes: bytes,
        address,
        port: pair.from.port,
        isTruncated: false,
      });
      expect(message?.bytes.length).toBe(bytes);
      expect(isPayload(message?.bytes ?? new Uint8Array())).toBe(true);
    },
  );

  it('datagrams are gathered from pieces at any alignment', () => {
    using pair = openPair({ address });
    pair.sender.begin(pair.target, 0);
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

  it('datagrams arrive in order, batch after batch, and room is free again after each flush', () => {
    using pair = openPair({ address, receiver: { messages: 5, messageBytes: 2048 } });
    const sizes = Array.from({ length: 150 }, (_, i) => ((i * 37) % 1500) + 1);
    for (const [i, bytes] of sizes.entries()) {
      pair.sender.begin(pair.target, 0);
      pair.sender.append(pair.payload + i, bytes);
      if (pair.sender.freeMessages() === 0) expect(pair.sender.flush()).toBe(0);
    }
    expect(pair.sender.flush()).toBe(0);
    expect([pair.sender.freeMessages(), pair.sender.freePieces(), pair.sender.flush()]).toEqual([64, 256, 0]);
    const messages = pair.receiveBytes(sizes.reduce((sum, bytes) => sum + bytes, 0));
    expect(messages.map(({ bytes }) => bytes.length)).toEqual(sizes);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, i))).toBe(true);
  });

  it('datagrams of one flush go each to its own peer', () => {
    using one = openPair({ address });
    using other = openPair({ address });
    for (const { port } of [one.to, other.to, one.to]) {
      one.sender.begin(one.endpoint(address, port), 0);
      one.sender.append(one.payload, (port % 100) + 1);
    }
    expect(one.sender.flush()).toBe(0);
    const ofOne = (one.to.port % 100) + 1;
    expect(one.receiveBytes(2 * ofOne).map(({ bytes }) => bytes.length)).toEqual([ofOne, ofOne]);
    const [message] = other.receiveBytes((other.to.port % 100) + 1);
    expect(message).toMatchObject({ address, port: one.from.port });
  });

  it('datagrams longer than their room are marked as truncated', () => {
    using pair = openPair({ address, receiver: { messages: 4, messageBytes: 100 } });
    for (const bytes of [101, 100, 5000]) {
      pair.sender.begin(pair.target, 0);
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

  it('refused datagrams are named by their position, and the others are sent', () => {
    using pair = openPair({ address });
    for (const bytes of [10, most + 2, 20, 65_536, 30]) {
      pair.sender.begin(pair.target, 0);
      pair.sender.append(pair.payload, bytes);
    }
    const refused = pair.sender.flush();
    expect(refusals(pair.sender, refused)).toEqual([
      [1, 'EMSGSIZE'],
      [3, 'EMSGSIZE'],
    ]);
    expect(pair.receiveBytes(60).map(({ bytes }) => bytes.length)).toEqual([10, 20, 30]);
  });

  it('answers go to the endpoint that the datagrams came from', () => {
    using pair = openPair({ address });
    pair.sender.begin(pair.target, 0);
    pair.sender.append(pair.payload, 5);
    pair.sender.flush();
    pair.receiveBytes(5);
    const source = pair.receiver.source(0);
    expect(pair.endpoints.equals(source, pair.source)).toBe(true);
    const answers = createSender(pair.arena, pair.to, { messages: 1, pieces: 1 });
    answers.begin(source, 0);
    answers.append(pair.payload, 7);
    expect(answers.flush()).toBe(0);
    const receiver = createReceiver(pair.arena, pair.from, { messages: 1, messageBytes: 100 });
    createPoller(pair.arena, [pair.from.fd]).wait(2_000);
    const [answer] = receiveAll(pair.arena, receiver);
    expect(answer).toMatchObject({ address, port: pair.to.port });
    expect(answer?.bytes.length).toBe(7);
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
