import { describe, expect, it } from 'vitest';
import {
  createPeerMemory,
  createPeerRoutes,
  type PeerRoute,
  writePeers,
} from '../../../../backends/udp/peer-routes.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { addressOf, pick } from './packets.ts';

const peer = (subnet: string, length: number, publicAddress: string): PeerRoute => ({
  subnet: addressOf(subnet),
  length,
  publicAddress: addressOf(publicAddress),
});

// The reference: a linear search.
function longestMatch(peers: readonly PeerRoute[], address: number): number {
  const matching = peers.filter(({ subnet, length }) => {
    const size = 2 ** (32 - length);
    return Math.floor((subnet >>> 0) / size) === Math.floor((address >>> 0) / size);
  });
  const best = matching.sort((a, b) => b.length - a.length)[0];
  return (best?.publicAddress ?? 0) | 0;
}

describe('routes', () => {
  it('routes lead to no peer before the first table', () => {
    const routes = createPeerRoutes(createPeerMemory(10));
    expect(routes.refresh()).toBe(false);
    expect([routes.lookup(5), routes.lookup(0), routes.isPublic(5), routes.isPublic(0)]).toEqual([
      0,
      0,
      false,
      false,
    ]);
  });

  it('routes find the longest prefix of any lengths', () => {
    const memory = createPeerMemory(100);
    writePeers(memory, [
      peer('10.5.2.0', 24, '192.168.0.2'),
      peer('10.5.2.128', 25, '192.168.0.3'),
      peer('10.5.2.129', 32, '192.168.0.4'),
      peer('10.0.0.0', 8, '192.168.0.5'),
      peer('0.0.0.0', 0, '192.168.0.6'),
    ]);
    const routes = createPeerRoutes(memory);
    expect(routes.refresh()).toBe(true);
    expect(routes.refresh()).toBe(false);
    const found = ['10.5.2.1', '10.5.2.130', '10.5.2.129', '10.9.9.9', '200.1.1.1'].map(
      (address) => routes.lookup(addressOf(address)) & 255,
    );
    expect(found).toEqual([2, 3, 4, 5, 6]);
    expect(routes.isPublic(addressOf('192.168.0.4'))).toBe(true);
    expect(routes.isPublic(addressOf('192.168.0.7'))).toBe(false);
  });

  it('routes agree with a plain search on random tables', () => {
    const random = seededRandom(8);
    const memory = createPeerMemory(8_192);
    const routes = createPeerRoutes(memory);
    for (let round = 0; round < 60; round++) {
      const peers = new Map<string, PeerRoute>();
      const lengths = Array.from({ length: 1 + pick(random, 5) }, () => pick(random, 33));
      for (let i = pick(random, round === 0 ? 8_192 : 300); i > 0; i--) {
        const length = lengths[pick(random, lengths.length)] ?? 24;
        const mask = length === 0 ? 0 : -1 << (32 - length);
        const subnet = (addressOf('10.5.0.0') ^ pick(random, 2 ** (8 + pick(random, 24)))) & mask;
        const publicAddress = 1 + pick(random, 2 ** 32 - 1);
        if (!peers.has(`${subnet}/${length}`))
          peers.set(`${subnet}/${length}`, { subnet, length, publicAddress });
      }
      const list = [...peers.values()];
      expect(writePeers(memory, list)).toBe(0);
      routes.refresh();
      for (let i = 0; i < 200; i++) {
        const known = list[pick(random, list.length)]?.subnet ?? 0;
        const address = (random() < 0.7 ? known ^ pick(random, 300) : pick(random, 2 ** 32)) | 0;
        expect(routes.lookup(address)).toBe(longestMatch(list, address));
      }
      for (const { publicAddress } of list) expect(routes.isPublic(publicAddress | 0)).toBe(true);
      const publics = new Set(list.map(({ publicAddress }) => publicAddress | 0));
      for (let i = 0; i < 200; i++) {
        const address = pick(random, 2 ** 32) | 0;
        expect(routes.isPublic(address)).toBe(publics.has(address));
      }
    }
  });

  it('routes keep the first of two peers with the same subnet', () => {
    const memory = createPeerMemory(8);
    writePeers(memory, [peer('10.5.2.0', 24, '192.168.0.2'), peer('10.5.2.0', 24, '192.168.0.3')]);
    const routes = createPeerRoutes(memory);
    routes.refresh();
    expect(routes.lookup(addressOf('10.5.2.7')) & 255).toBe(2);
    expect(routes.isPublic(addressOf('192.168.0.3'))).toBe(false);
  });

  it('routes report the number of peers that do not fit', () => {
    const memory = createPeerMemory(8_192);
    const many = Array.from({ length: 8_200 }, (_, i) => ({
      subnet: i << 8,
      length: 24,
      publicAddress: i + 1,
    }));
    expect(writePeers(memory, many)).toBe(8);
    const routes = createPeerRoutes(memory);
    routes.refresh();
    expect(routes.lookup(8_191 << 8)).toBe(8_192);
    expect(routes.lookup(8_192 << 8)).toBe(0);
  });

  it('routes disappear with an empty table', () => {
    const memory = createPeerMemory(8);
    const routes = createPeerRoutes(memory);
    writePeers(memory, [peer('10.5.2.0', 24, '192.168.0.2')]);
    routes.refresh();
    writePeers(memory, []);
    routes.refresh();
    expect(routes.lookup(addressOf('10.5.2.7'))).toBe(0);
  });

  it('routes are found as fast among 5,000 peers', () => {
    const lookups = 300_000;
    const timeOf = (count: number): number => {
      const memory = createPeerMemory(8_192);
      const base = addressOf('10.0.0.0');
      writePeers(
        memory,
        Array.from({ length: count }, (_, i) => ({
          subnet: base + (i << 8),
          length: 24,
          publicAddress: i + 1,
        })),
      );
      const routes = createPeerRoutes(memory);
      routes.refresh();
      const times = Array.from({ length: 7 }, () => {
        const start = performance.now();
        let found = 0;
        for (let i = 0; i < lookups; i++) found += routes.lookup(base + ((i % count) << 8) + 9) === 0 ? 0 : 1;
        expect(found).toBe(lookups);
        return performance.now() - start;
      });
      return Math.min(...times);
    };
    timeOf(2);
    // A search through all of them would be a thousand times slower.
    expect(timeOf(5_000)).toBeLessThan(timeOf(2) * 6);
  });
});

describe('a reader', () => {
  it('a reader that the writer overtakes keeps its old table and tries again', () => {
    const memory = createPeerMemory(8);
    const routes = createPeerRoutes(memory);
    writePeers(memory, [peer('10.5.2.0', 24, '192.168.0.2')]);
    routes.refresh();
    writePeers(memory, [peer('10.5.3.0', 24, '192.168.0.3')]);
    // The writer has begun the table after the next one: it writes over the half that is published.
    const words = new Int32Array(memory);
    words[0] = (words[1] ?? 0) + 2;
    expect(routes.refresh()).toBe(false);
    expect(routes.lookup(addressOf('10.5.2.1')) & 255).toBe(2);
    words[0] = words[1] ?? 0;
    expect(routes.refresh()).toBe(true);
    expect(routes.lookup(addressOf('10.5.3.1')) & 255).toBe(3);
    expect(routes.lookup(addressOf('10.5.2.1'))).toBe(0);
  });

  it('a reader ignores a half that is not published', () => {
    const memory = createPeerMemory(8);
    const routes = createPeerRoutes(memory);
    writePeers(memory, [peer('10.5.2.0', 24, '192.168.0.2')]);
    const words = new Int32Array(memory);
    words[0] = (words[0] ?? 0) + 1;
    expect(routes.refresh()).toBe(true);
    expect(routes.lookup(addressOf('10.5.2.1')) & 255).toBe(2);
  });
});
