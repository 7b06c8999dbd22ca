import { describe, expect, it } from 'vitest';
import { type Connection, HttpConnections } from '../../../agent/observe/http-connections.ts';
import { LIMITS } from '../../../agent/observe/limits.ts';

const HERE = '192.168.77.1';

interface TestConnection extends Connection {
  isOpen: boolean;
}

function createBed() {
  const connections = new HttpConnections();
  const admit = (remoteAddress: string | undefined, localAddress = HERE): TestConnection => {
    const connection = {
      remoteAddress,
      localAddress,
      isOpen: true,
      destroy: () => void (connection.isOpen = false),
    };
    connections.admit(connection);
    return connection;
  };
  const admitMany = (count: number, address: (index: number) => string): TestConnection[] =>
    Array.from({ length: count }, (_, index) => admit(address(index)));
  return { connections, admit, admitMany };
}

const open = (all: readonly TestConnection[]): number => all.filter(({ isOpen }) => isOpen).length;

describe('the connections of the health server', () => {
  it.each([
    ['one address', () => '10.0.0.9'],
    ['one host with many IPv6 addresses', (i: number) => `2001:db8::${i.toString(16)}`],
    ['this host', () => '127.0.0.1'],
  ])('a flood from %s costs nobody else a connection', (_who, address) => {
    const { admit, admitMany } = createBed();
    const kubelet = admit(HERE);
    const prometheus = admit('10.0.0.7');
    const flood = admitMany(1_000, address);
    const late = admit('10.0.0.8');
    expect([kubelet, prometheus, late].map(({ isOpen }) => isOpen)).toEqual([true, true, true]);
    expect(open([...flood, kubelet, prometheus, late])).toBeLessThanOrEqual(LIMITS.httpConnections);
  });

  it('of a flood the newest connections stay', () => {
    const { admitMany } = createBed();
    const flood = admitMany(LIMITS.httpRemoteConnections + 5, () => '10.0.0.9');
    expect(flood.map(({ isOpen }) => isOpen).lastIndexOf(false)).toBe(4);
  });

  it.each(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', HERE])(
    'the share of this host is kept for %s while many hosts flood',
    (address) => {
      const { admit, admitMany } = createBed();
      const share = LIMITS.httpConnections - LIMITS.httpRemoteConnections;
      const own = Array.from({ length: share }, () => admit(address));
      const flood = admitMany(1_000, (i) => `10.1.${i >> 8}.${i & 255}`);
      expect(open(own)).toBe(share);
      expect(open(flood)).toBe(LIMITS.httpRemoteConnections);
    },
  );

  it('addresses of one link are told apart by their prefix, and odd ones by their text', () => {
    const { admit, admitMany } = createBed();
    const odd = admit('no address');
    admitMany(1_000, (i) => `fe80::${i.toString(16)}%eth0`);
    expect(odd.isOpen).toBe(true);
  });

  it('a connection is closed at its last look, and one that was closed is forgotten', () => {
    const { connections, admit } = createBed();
    const early = admit('10.0.0.7');
    const gone = admit('10.0.0.7');
    connections.remove(gone);
    for (let look = 0; look < LIMITS.httpLooks; look++) connections.look();
    const late = admit('10.0.0.7');
    expect(early.isOpen).toBe(true);
    connections.look();
    expect([early, gone, late].map(({ isOpen }) => isOpen)).toEqual([false, true, true]);
  });

  it('a connection that was closed before it could be admitted is not kept', () => {
    const { connections, admit } = createBed();
    const gone = admit(undefined);
    for (let look = 0; look < 2 * LIMITS.httpLooks; look++) connections.look();
    expect(gone.isOpen).toBe(true);
  });
});
