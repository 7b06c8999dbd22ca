import { describe, expect, it } from 'vitest';
import { createBed, messageFrom, plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { at, faultOf, tcp, text, udp } from './packets.ts';
import { data, IN, oneHopLess } from './traffic.ts';

const IN_PACKET = udp({ ...IN, data: data(1) });

describe('inbound', () => {
  it('inbound writes the packet of a peer with one hop less', () => {
    const bed = createBed();
    const packet = tcp({ ...IN, data: data(10) });
    expect(bed.fromPeer('192.168.0.2', packet)).toEqual([plain(oneHopLess(packet))]);
    expect(bed.counters()).toMatchObject({ received_packets: 1, received_bytes: 50, tun_writes: 1 });
  });

  it('inbound merges segments across the ends of messages', () => {
    const bed = createBed();
    const segments = expand(runOf(tcp({ ...IN, data: data(40 * 1_000), flags: 0x18 }), 1_000));
    const [first, second] = [segments.slice(0, 15), segments.slice(15)];
    for (const part of [first, second]) {
      const bytes = Uint8Array.from(part.flatMap((packet) => [...packet]));
      bed.socket.offer([messageFrom('192.168.0.2', bytes, 1_040)]);
    }
    bed.settle();
    const written = bed.tun.take();
    expect(written).toHaveLength(1);
    expect(written.flatMap(expand)).toEqual(segments.map(oneHopLess));
    expect(bed.counters()).toMatchObject({
      received_packets: 40,
      received_messages: 2,
      received_coalesced_messages: 2,
      tun_written_runs: 1,
    });
  });

  it('inbound receives a few long runs at a time, and many short messages', () => {
    const bed = createBed();
    const segments = expand(runOf(tcp({ ...IN, data: data(40 * 1_000), flags: 0x18 }), 1_000));
    const long = Uint8Array.from(segments.flatMap((packet) => [...packet]));
    const messages = (count: number, bytes: Uint8Array) =>
      Array.from({ length: count }, () => messageFrom('192.168.0.2', bytes, 1_040));
    const callsFor = (count: number, bytes: Uint8Array): number => {
      const before = bed.counters().receive_calls;
      bed.socket.offer(messages(count, bytes));
      bed.settle();
      return bed.counters().receive_calls - before;
    };
    // 8 + 2 + 2, then 2 + 8 + 2, as the last ones were long.
    expect(callsFor(12, long)).toBe(3);
    expect(callsFor(12, IN_PACKET)).toBe(3);
    expect(callsFor(16, IN_PACKET)).toBe(2);
    expect(bed.counters()).toMatchObject({ received_packets: 12 * 40 + 28 });
  });

  it.each([
    ['a stranger', 'stranger', '192.168.0.9', IN],
    [
      'a stranger that claims a peer public address',
      'stranger',
      '192.168.0.9',
      { ...IN, source: '192.168.0.2' },
    ],
    ['a peer with an address of another peer', 'spoofed', '192.168.0.3', IN],
    ['a peer with one of our own addresses', 'spoofed', '192.168.0.2', { ...IN, source: '10.5.1.8' }],
    ["a peer with an address that is no peer's", 'spoofed', '192.168.0.2', { ...IN, source: '8.8.8.8' }],
    ['a peer with the public address of another', 'spoofed', '192.168.0.2', { ...IN, source: '192.168.0.3' }],
    ['a peer to another subnet', 'misdirected', '192.168.0.2', { ...IN, destination: '10.5.3.1' }],
    ['a peer to our public address', 'misdirected', '192.168.0.2', { ...IN, destination: '192.168.0.1' }],
    ['a peer to the world', 'misdirected', '192.168.0.2', { ...IN, destination: '8.8.8.8' }],
  ] as const)('inbound drops a packet of %s: %s', (_, reason, sender, addresses) => {
    const bed = createBed();
    expect(bed.fromPeer(sender, udp({ ...addresses, data: data(20) }))).toEqual([]);
    expect(bed.counters()[`dropped_${reason}`]).toBe(1);
    expect(bed.counters().received_packets).toBe(0);
  });

  it.each([
    ['a container to our host', { ...IN, destination: '10.5.1.0' }],
    ['a container to our bridge', { ...IN, destination: '10.5.1.1' }],
    ['the host of a peer by its TUN device', { ...IN, source: '10.5.2.0' }],
    ['the host of a peer by its public address', { ...IN, source: '192.168.0.2' }],
  ])('inbound admits %s', (_, addresses) => {
    expect(createBed().fromPeer('192.168.0.2', udp({ ...addresses, data: data(20) }))).toHaveLength(1);
  });

  it('inbound does not admit a spoofer behind the run of another sender', () => {
    const bed = createBed();
    const [first = IN_PACKET, second = IN_PACKET] = expand(runOf(tcp({ ...IN, data: data(200) }), 100));
    bed.socket.offer([messageFrom('192.168.0.2', first), messageFrom('192.168.0.3', second)]);
    bed.settle();
    expect(bed.tun.take()).toEqual([plain(oneHopLess(first))]);
    expect(bed.counters().dropped_spoofed).toBe(1);
  });

  it('inbound drops what another program on the host of a peer sends', () => {
    const bed = createBed();
    bed.socket.offer([messageFrom('192.168.0.2', IN_PACKET, IN_PACKET.length, 40_000)]);
    bed.settle();
    expect(bed.tun.take()).toEqual([]);
    expect(bed.counters()).toMatchObject({ dropped_source_port: 1, received_packets: 0 });
  });

  it('inbound does not let another program on the host of a peer join a run of the peer', () => {
    const bed = createBed();
    const [first = IN_PACKET, second = IN_PACKET] = expand(runOf(tcp({ ...IN, data: data(200) }), 100));
    bed.socket.offer([
      messageFrom('192.168.0.2', first),
      messageFrom('192.168.0.2', second, second.length, 40_000),
    ]);
    bed.settle();
    expect(bed.tun.take()).toEqual([plain(oneHopLess(first))]);
    expect(bed.counters().dropped_source_port).toBe(1);
  });

  it.each([
    ['short', new Uint8Array(0)],
    ['short', new Uint8Array(19)],
    ['version', Uint8Array.from([0x60, ...new Uint8Array(60)])],
    ['header_length', udp({ ...IN, data: data(5) }).with(0, 0x44)],
    ['total_length', udp({ ...IN, data: data(5) }).subarray(0, 30)],
    ['checksum', udp({ ...IN, data: data(5) }).with(1, 7)],
  ] as const)('inbound drops and counts a packet with the fault %s', (reason, packet) => {
    const bed = createBed();
    expect(bed.fromPeer('192.168.0.2', packet)).toEqual([]);
    expect(bed.counters()[`dropped_${reason}`]).toBe(1);
  });

  it('inbound drops a message longer than its room', () => {
    const bed = createBed();
    bed.socket.offer([messageFrom('192.168.0.2', new Uint8Array(65_537))]);
    bed.settle();
    expect(bed.counters().dropped_truncated).toBe(1);
  });

  it('inbound cuts off the bytes after the packet', () => {
    const packet = udp({ ...IN, data: data(20) });
    const written = createBed().fromPeer('192.168.0.2', Uint8Array.from([...packet, 1, 2, 3]));
    expect(written).toEqual([plain(oneHopLess(packet))]);
  });

  it('inbound sends an ICMP error to the peer whose packet has no hop left, from our own subnet', () => {
    const bed = createBed();
    expect(bed.fromPeer('192.168.0.2', udp({ ...IN, ttl: 1, data: data(20) }))).toEqual([]);
    const [answer] = bed.socket.take();
    const bytes = answer?.bytes ?? new Uint8Array();
    expect(answer?.address).toBe('192.168.0.2');
    expect(faultOf(bytes)).toBeUndefined();
    expect([at(bytes, 20), text(bytes, 12), text(bytes, 16)]).toEqual([11, '10.5.1.0', '10.5.2.9']);
    expect(createBed().fromPeer('192.168.0.3', bytes)).toEqual([]);
  });

  it('inbound counts packets that the device refuses', () => {
    const bed = createBed();
    bed.tun.write = () => -5;
    bed.runFromPeer('192.168.0.2', ...expand(runOf(tcp({ ...IN, data: data(5_000) }), 1_000)));
    expect(bed.counters().dropped_tun_refused).toBe(5);
  });
});
