import { describe, expect, it } from 'vitest';
import { createBed, plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { addressOf, at, faultOf, icmp, tcp, text, udp } from './packets.ts';
import { data, OUT, oneHopLess } from './traffic.ts';

describe('outbound', () => {
  it('outbound sends a packet as one datagram to the peer of its destination, with one hop less', () => {
    const bed = createBed();
    const packet = udp({ ...OUT, data: data(100) });
    const sent = bed.fromHost(plain(packet));
    expect(sent).toHaveLength(1);
    expect(sent[0]?.address).toBe('192.168.0.2');
    expect(sent[0]?.port).toBe(8285);
    expect(sent[0]?.bytes).toEqual(oneHopLess(packet));
    expect(bed.counters()).toMatchObject({
      sent_packets: 1,
      sent_bytes: 128,
      sent_messages: 1,
      send_calls: 1,
    });
  });

  it('outbound sends to several peers in one call, and equal packets in a row to one peer as one message', () => {
    const bed = createBed();
    const small = (destination: string, length: number): Uint8Array =>
      plain(udp({ ...OUT, destination, data: data(length) }));
    const sent = bed.fromHost(
      ...[20, 20, 20, 12].map((length) => small('10.5.2.9', length)),
      small('10.5.3.9', 20),
      small('10.5.2.9', 20),
    );
    expect(sent.map(({ address }) => address.at(-1)).join('')).toBe('222232');
    expect(sent.map(({ bytes }) => faultOf(bytes))).toEqual(Array.from({ length: 6 }));
    expect(bed.socket.runs).toEqual([4, 1, 1]);
    expect(bed.socket.flushes).toBe(1);
    expect(bed.counters()).toMatchObject({ sent_messages: 3, sent_segmented_messages: 1, send_calls: 1 });
  });

  it('outbound begins another message after a shorter datagram, and for a longer one', () => {
    const bed = createBed();
    const packets = [20, 20, 12, 12, 20, 30, 30].map((length) => udp({ ...OUT, data: data(length) }));
    const sent = bed.fromHost(...packets.map(plain));
    expect(sent.map(({ bytes }) => bytes)).toEqual(packets.map(oneHopLess));
    expect(bed.socket.runs).toEqual([3, 1, 1, 2]);
  });

  it('outbound begins another message after 64 datagrams, and before 65,000 bytes', () => {
    const bed = createBed();
    const run = (count: number, length: number) => runOf(udp({ ...OUT, data: data(count * length) }), length);
    expect(bed.fromHost(run(200, 20))).toHaveLength(200);
    expect(bed.fromHost(run(28, 1_400), run(28, 1_400))).toHaveLength(56);
    expect(bed.socket.runs).toEqual([64, 64, 64, 8, 45, 11]);
  });

  it('outbound flushes when no further message fits, and mixes up no headers', () => {
    const bed = createBed({}, 3);
    const destinations = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? '10.5.3.9' : '10.5.2.9'));
    const packets = destinations.map((destination, i) =>
      i % 4 === 0
        ? tcp({ ...OUT, destination, data: data(3_000 + i), flags: 0x18, tcpOptions: data(12) })
        : udp({ ...OUT, destination, data: data(100 + (i % 2)) }),
    );
    const runs = packets.map((packet, i) => (i % 4 === 0 ? runOf(packet, 700) : plain(packet)));
    const expected = packets.flatMap((packet, i) =>
      i % 4 === 0 ? expand(runOf(oneHopLess(packet), 700)) : [oneHopLess(packet)],
    );
    const sent = bed.fromHost(...runs);
    expect(sent.map(({ bytes }) => bytes)).toEqual(expected);
    expect(bed.socket.flushes).toBeGreaterThan(10);
    expect(bed.counters()).toMatchObject({ sent_packets: expected.length, send_calls: bed.socket.flushes });
  });

  it('outbound cuts a run of TCP into segments of its own size, several in one message', () => {
    const bed = createBed();
    const run = tcp({ ...OUT, data: data(60_000), flags: 0x18, tcpOptions: data(12) });
    const expected = expand(runOf(oneHopLess(run), 1_420));
    const sent = bed.fromHost(runOf(run, 1_420));
    expect(sent.map(({ bytes }) => bytes)).toEqual(expected);
    expect(sent.map(({ bytes }) => faultOf(bytes)).filter((fault) => fault !== undefined)).toEqual([]);
    expect(bed.socket.runs).toEqual([43]);
  });

  it('outbound completes a checksum that the kernel left to it', () => {
    const bed = createBed();
    const packet = tcp({ ...OUT, data: data(333), flags: 0x18 });
    const partial = runOf(packet, 0);
    partial[1] = 0;
    const [sent] = bed.fromHost(partial);
    expect(sent?.bytes).toEqual(oneHopLess(packet));
  });

  it('outbound reports that the network is unreachable where no peer has the destination', () => {
    const bed = createBed();
    const packet = udp({ ...OUT, destination: '10.5.77.1', data: data(900) });
    expect(bed.fromHost(plain(packet))).toEqual([]);
    const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
    expect(faultOf(answer)).toBeUndefined();
    expect([at(answer, 20), at(answer, 21)]).toEqual([3, 0]);
    expect([text(answer, 12), text(answer, 16)]).toEqual(['10.5.0.0', '10.5.1.7']);
    expect(answer.subarray(28)).toEqual(packet.subarray(0, 548));
    expect(bed.counters()).toMatchObject({ dropped_no_route: 1, icmp_unreachable: 1, sent_packets: 0 });
  });

  it('outbound reports from the last address of the network where the first is in our own subnet', () => {
    const bed = createBed({
      subnet: { address: addressOf('10.5.0.0'), length: 24 },
      network: { address: addressOf('10.5.0.0'), length: 16 },
    });
    bed.fromHost(plain(udp({ ...OUT, destination: '10.5.77.1', data: data(9) })));
    expect(bed.tun.take().map((written) => text(written, 22))).toEqual(['10.5.255.255']);
  });

  it('outbound reports that time is exceeded where no hop is left', () => {
    const bed = createBed();
    expect(bed.fromHost(plain(udp({ ...OUT, ttl: 1, data: data(9) })))).toEqual([]);
    const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
    expect([at(answer, 20), at(answer, 21)]).toEqual([11, 0]);
    expect(bed.counters()).toMatchObject({ dropped_hops: 1, icmp_time_exceeded: 1 });
  });

  it('outbound limits the rate of ICMP errors', () => {
    const bed = createBed();
    const packets = Array.from({ length: 1_000 }, () => plain(udp({ ...OUT, ttl: 1, data: data(9) })));
    bed.fromHost(...packets);
    expect(bed.tun.take()).toHaveLength(64);
    expect(bed.counters()).toMatchObject({ icmp_time_exceeded: 64, icmp_suppressed: 936 });
    bed.nowMs += 100;
    bed.fromHost(...packets.slice(0, 100));
    expect(bed.tun.take()).toHaveLength(10);
  });

  it.each([
    ['short', plain(new Uint8Array(19))],
    ['short', new Uint8Array(4)],
    ['version', plain(Uint8Array.from([0x60, ...new Uint8Array(60)]))],
    ['total_length', plain(udp({ ...OUT, data: data(50) }).subarray(0, 60))],
  ] as const)('outbound drops and counts a packet with the fault %s', (reason, packet) => {
    const bed = createBed();
    expect(bed.fromHost(packet)).toEqual([]);
    expect(bed.counters()[`dropped_${reason}`]).toBe(1);
  });

  it.each([
    ['a TCP run of no size', runOf(tcp({ ...OUT, data: data(3_000) }), 0)],
    ['UDP that says it is TCP', runOf(udp({ ...OUT, data: data(3_000) }), 900).with(1, 1)],
    ['TCP that says it is UDP', runOf(tcp({ ...OUT, data: data(3_000) }), 900).with(1, 5)],
    ['a run of another kind', runOf(udp({ ...OUT, data: data(3_000) }), 900).with(1, 3)],
    ['ICMP as a run', plain(icmp({ ...OUT, type: 8, data: data(99) })).with(1, 1)],
    [
      'a checksum outside of the packet',
      runOf(udp({ ...OUT, data: data(9) }), 0)
        .with(1, 0)
        .with(7, 9),
    ],
  ])('outbound drops %s', (_, packet) => {
    const bed = createBed();
    expect(bed.fromHost(packet)).toEqual([]);
    expect(bed.counters().dropped_offload).toBe(1);
  });
});
