// Options of foreign sockets.
import { describe, expect, it } from 'vitest';
import {
  attachFilter,
  errnoName,
  getSocketOption,
  openUdpSocket,
  SystemError,
  setSocketOption,
} from '../src/index.ts';

const SOL_SOCKET = 1;
const [SO_TYPE, SO_RCVBUF, SO_MEMINFO] = [3, 8, 55];
const SOCK_DGRAM = 2;
const PASS = [0x06, 0, 0, 0xffff_ffff] as const;

const numberIn = (bytes: Uint8Array, at = 0): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

describe('options of a foreign socket', () => {
  it('an option is read as its bytes', () => {
    using socket = openUdpSocket({ address: '127.0.0.1', port: 0 });
    expect(numberIn(getSocketOption(socket.fd, SOL_SOCKET, SO_TYPE, 4))).toBe(SOCK_DGRAM);
    setSocketOption(socket.fd, SOL_SOCKET, SO_RCVBUF, 20_000);
    // The kernel doubles the size, for its own bookkeeping.
    expect(numberIn(getSocketOption(socket.fd, SOL_SOCKET, SO_MEMINFO, 36), 4)).toBe(40_000);
  });

  it('a filter is attached and replaced, and a program that has no end is refused', () => {
    using socket = openUdpSocket({ address: '127.0.0.1', port: 0 });
    attachFilter(socket.fd, [PASS]);
    attachFilter(socket.fd, [[0x06, 0, 0, 0]]);
    let refusal: unknown;
    try {
      attachFilter(socket.fd, [[0x20, 0, 0, 0]]);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(SystemError);
    expect(refusal instanceof SystemError && errnoName(refusal.errno)).toBe('EINVAL');
  });

  it('a descriptor that is none is refused, and more bytes than an option has', () => {
    expect(() => getSocketOption(-1, SOL_SOCKET, SO_TYPE, 4)).toThrow(SystemError);
    expect(() => getSocketOption(0, SOL_SOCKET, SO_TYPE, 97)).toThrow(RangeError);
  });
});
