// Sockets on the loopback: opening, attaching, asking for paths.
import { describe, expect, it } from 'vitest';
import { attachUdpSocket, createReceiver, openUdpSocket, SystemError } from '../src/index.ts';
import { FAMILIES, LOOPBACK, LOOPBACK6, openPair, receiveAll, refusals } from './pair.ts';

describe.each(FAMILIES)('a socket of $family', ({ address, most, any }) => {
  it('a socket is not opened where its port is in use', () => {
    using first = openUdpSocket({ address, port: 0 });
    const open = () => openUdpSocket({ address, port: first.port });
    expect(open).toThrow(SystemError);
    expect(open).toThrow(`cannot open UDP port ${first.port} of ${address}: bind: EADDRINUSE`);
    expect(open).toThrow(expect.objectContaining({ syscall: 'bind', code: 'EADDRINUSE', errno: 98 }));
  });

  it('a socket knows how large a datagram the path to itself takes', () => {
    using socket = openUdpSocket({ address: any, port: 0 });
    expect(socket.pathPayloadBytes(address)).toBe(most);
    expect(() => socket.pathPayloadBytes('nowhere')).toThrow('"nowhere" is not an IPv4 or IPv6 address');
  });

  it('a socket refuses a message to an endpoint of the other family', () => {
    using pair = openPair({ address });
    pair.sender.begin(pair.endpoint(address === LOOPBACK ? LOOPBACK6 : LOOPBACK, pair.to.port), 0);
    pair.sender.append(pair.payload, 1);
    expect(pair.sender.flush()).toBe(1);
    expect(pair.from.pathPayloadBytes(address === LOOPBACK ? LOOPBACK6 : LOOPBACK)).toBeUndefined();
  });

  it('a socket is closed once, and every call gives minus the errno afterwards', () => {
    const { from, to, receiver, sender, target, payload } = openPair({ address });
    from[Symbol.dispose]();
    to[Symbol.dispose]();
    to[Symbol.dispose]();
    expect([from.fd, to.fd]).toEqual([-1, -1]);
    expect(receiver.receive()).toBe(-9);
    expect(from.pathPayloadBytes(address)).toBeUndefined();
    sender.begin(target, 0);
    sender.append(payload, 1);
    expect(sender.flush()).toBe(1);
    expect(refusals(sender, 1)).toEqual([[0, 'EBADF']]);
  });

  it('a socket of another thread is used by its descriptor, and stays open', () => {
    using pair = openPair({ address });
    const { fd, port, canSegment, canCoalesce } = pair.to;
    const handle = structuredClone({ fd, port, canSegment, canCoalesce });
    const attached = attachUdpSocket(handle);
    const receiver = createReceiver(pair.arena, attached, { messages: 1, messageBytes: 100 });
    pair.sender.begin(pair.target, 0);
    pair.sender.append(pair.payload, 42);
    pair.sender.flush();
    let messages = receiveAll(pair.arena, receiver);
    for (let i = 0; i < 1e6 && messages.length === 0; i += 1) messages = receiveAll(pair.arena, receiver);
    expect(messages[0]?.bytes.length).toBe(42);
    expect(attached.pathPayloadBytes(address)).toBe(most);
    attached[Symbol.dispose]();
    expect(pair.receiver.receive()).toBe(0);
  });
});

describe('a socket', () => {
  it.each(['', '10.0.0', '256.0.0.1', '010.0.0.1', 'localhost', 'fe80::1%lo', '1::2::3', ':::'])(
    'a socket is not opened for the address "%s"',
    (address) => {
      expect(() => openUdpSocket({ address, port: 0 })).toThrow(
        `"${address}" is not an IPv4 or IPv6 address`,
      );
    },
  );

  it.each([-1, 65_536, 1.5, Number.NaN])('a socket is not opened for port %j', (port) => {
    expect(() => openUdpSocket({ address: LOOPBACK, port })).toThrow(`${port} is not a port from 0 to 65535`);
  });
});
