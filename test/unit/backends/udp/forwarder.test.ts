import { describe, expect, it } from 'vitest';
import { writePeers } from '../../../../backends/udp/peer-routes.ts';
import { createBed, PEERS, plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { addressOf, at, faultOf, get16, get32, icmp, ipv4, tcp, text, udp } from './packets.ts';

const OUT = { source: '10.5.1.7', destination: '10.5.2.9' };
const IN = { source: '10.5.2.9', destination: '10.5.1.7' };
const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);

// What a packet is after one more hop.
function oneHopLess(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[8] = at(copy, 8) - 1;
  const sum = get16(copy, 10) + 0x100;
  const folded = (sum & 0xffff) + (sum >> 16);
  copy[10] = folded >> 8;
  copy[11] = folded & 255;
  return copy;
}

describe('to peers', () => {
  it('sends a packet as one datagram to the peer that has the destination, one hop less', () => {
    const bed = createBed();
    const packet = udp({ ...OUT, data: data(100) });
    const sent = bed.fromHost(plain(packet));
    expect(sent).toHaveLength(1);
    expect(sent[0]?.address).toBe(addressOf('192.168.0.2'));
    expect(sent[0]?.port).toBe(8285);
    expect(sent[0]?.bytes).toEqual(oneHopLess(packet));
    expect(bed.counters()).toMatchObject({
      sent_packets: 1,
      sent_bytes: 128,
      sent_messages: 1,
      send_calls: 1,
    });
  });

  it('sends to several peers in one call, and a row of equal packets to one of them as one message', () => {
    const bed = createBed();
    const small = (destination: string, length: number): Uint8Array =>
      plain(udp({ ...OUT, destination, data: data(length) }));
    const sent = bed.fromHost(
      ...[20, 20, 20, 12].map((length) => small('10.5.2.9', length)),
      small('10.5.3.9', 20),
      small('10.5.2.9', 20),
    );
    expect(sent.map(({ address }) => address & 255)).toEqual([2, 2, 2, 2, 3, 2]);
    expect(sent.map(({ bytes }) => faultOf(bytes))).toEqual(Array.from({ length: 6 }));
    expect(bed.sender.messages).toEqual([4, 1, 1]);
    expect(bed.sender.calls).toBe(1);
    expect(bed.counters()).toMatchObject({ sent_messages: 3, sent_segmented_messages: 1, send_calls: 1 });
  });

  it('cuts a run of TCP into segments of its own size, several in one message', () => {
    const bed = createBed();
    const run = tcp({ ...OUT, data: data(60_000), flags: 0x18, tcpOptions: data(12) });
    const expected = expand(runOf(oneHopLess(run), 1_420));
    const sent = bed.fromHost(runOf(run, 1_420));
    expect(sent.map(({ bytes }) => bytes)).toEqual(expected);
    expect(sent.map(({ bytes }) => faultOf(bytes)).filter((fault) => fault !== undefined)).toEqual([]);
    expect(bed.sender.messages).toEqual([43]);
  });

  it('completes a checksum that the kernel left to it', () => {
    const bed = createBed();
    const packet = tcp({ ...OUT, data: data(333), flags: 0x18 });
    const partial = runOf(packet, 0);
    partial[1] = 0;
    const [sent] = bed.fromHost(partial);
    expect(sent?.bytes).toEqual(oneHopLess(packet));
  });

  it('says that the network is unreachable when nobody has the destination', () => {
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

  it('speaks with the last address of the network where the first is in our own subnet', () => {
    const bed = createBed({
      subnet: { address: addressOf('10.5.0.0'), length: 24 },
      network: { address: addressOf('10.5.0.0'), length: 16 },
    });
    bed.fromHost(plain(udp({ ...OUT, destination: '10.5.77.1', data: data(9) })));
    expect(bed.tun.take().map((written) => text(written, 22))).toEqual(['10.5.255.255']);
  });

  it('says that time is exceeded when no hop is left', () => {
    const bed = createBed();
    expect(bed.fromHost(plain(udp({ ...OUT, ttl: 1, data: data(9) })))).toEqual([]);
    const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
    expect([at(answer, 20), at(answer, 21)]).toEqual([11, 0]);
    expect(bed.counters()).toMatchObject({ dropped_hops: 1, icmp_time_exceeded: 1 });
  });

  it('says so at a limited rate only', () => {
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
  ] as const)('drops and counts what is %s', (reason, packet) => {
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
  ])('drops %s', (_, packet) => {
    const bed = createBed();
    expect(bed.fromHost(packet)).toEqual([]);
    expect(bed.counters().dropped_offload).toBe(1);
  });
});

describe('a path that is too small', () => {
  const EMSGSIZE = 90;
  const narrow = (limit: number) => {
    const bed = createBed();
    bed.paths.set(addressOf('192.168.0.2'), limit);
    bed.sender.refuse = (address, segmentBytes, bytes) =>
      (address & 255) === 2 && (segmentBytes > 0 ? segmentBytes : bytes) > limit ? EMSGSIZE : 0;
    return bed;
  };

  it('tells the sender of a packet that must not be fragmented, at the first packet and at all others', () => {
    const bed = narrow(1_000);
    for (const _ of [1, 2, 3]) {
      expect(bed.fromHost(plain(udp({ ...OUT, data: data(1_200) })))).toEqual([]);
      const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
      expect(faultOf(answer)).toBeUndefined();
      expect([at(answer, 20), at(answer, 21), get16(answer, 26)]).toEqual([3, 4, 1_000]);
    }
    expect(bed.counters()).toMatchObject({
      dropped_too_big: 3,
      icmp_too_big: 3,
      sent_packets: 0,
      sent_bytes: 0,
    });
  });

  it('tells the sender of a run of segments', () => {
    const bed = narrow(1_000);
    const run = runOf(tcp({ ...OUT, data: data(9_000) }), 1_420);
    for (const times of [1, 2]) {
      // At first nothing is known of the path, and the short end of the run still passes.
      expect(bed.fromHost(run)).toHaveLength(times === 1 ? 1 : 0);
      const answers = bed.tun.take().map((written) => written.subarray(10));
      expect(answers.map((answer) => get16(answer, 26))).toContain(1_000);
      if (times === 2) expect(answers).toHaveLength(1);
    }
  });

  it.each(['packet', 'run'])('fragments a %s that may be fragmented', (kind) => {
    const bed = narrow(600);
    for (const round of [1, 2]) {
      const packet = udp({ ...OUT, data: data(2_800), id: 77, fragment: 0 });
      const wanted = kind === 'run' ? expand(runOf(oneHopLess(packet), 1_400)) : [oneHopLess(packet)];
      const sent = bed.fromHost(kind === 'run' ? runOf(packet, 1_400) : plain(packet));
      expect(sent.every(({ bytes }) => bytes.length <= 600 && faultOf(bytes) === undefined)).toBe(true);
      for (const [i, whole] of wanted.entries()) {
        const parts = sent.filter(({ bytes }) => get16(bytes, 4) === ((77 + i) & 0xffff));
        const payload = new Uint8Array(whole.length - 20);
        for (const { bytes } of parts) payload.set(bytes.subarray(20), (get16(bytes, 6) & 0x1fff) * 8);
        expect(payload).toEqual(whole.subarray(20));
        expect(parts.map(({ bytes }) => get16(bytes, 6) >> 13)).toEqual([...parts.slice(1).map(() => 1), 0]);
      }
      expect(bed.counters().fragmented_packets).toBe(round * wanted.length);
      expect(bed.tun.take()).toEqual([]);
    }
  });

  it('asks again after a while, and then sends whole packets on a path that became wider', () => {
    const bed = narrow(1_000);
    const packet = plain(udp({ ...OUT, data: data(1_200) }));
    bed.fromHost(packet);
    bed.sender.refuse = () => 0;
    bed.paths.clear();
    expect(bed.fromHost(packet)).toEqual([]);
    bed.nowMs += 10_000;
    expect(bed.fromHost(packet)).toHaveLength(1);
  });

  it('does not touch the packets to other peers', () => {
    const bed = narrow(1_000);
    const to = (destination: string) => plain(udp({ ...OUT, destination, data: data(1_200) }));
    const sent = bed.fromHost(to('10.5.3.1'), to('10.5.2.1'), to('10.5.3.2'));
    expect(sent.map(({ bytes }) => text(bytes, 16))).toEqual(['10.5.3.1', '10.5.3.2']);
  });

  it.each([
    [11, 'send_full'],
    [105, 'send_full'],
    [1, 'send_refused'],
    [101, 'send_refused'],
  ] as const)('counts what the kernel refuses with errno %i as %s', (errno, reason) => {
    const bed = createBed();
    bed.sender.refuse = () => errno;
    bed.fromHost(runOf(tcp({ ...OUT, data: data(5_680) }), 1_420));
    expect(bed.counters()).toMatchObject({ [`dropped_${reason}`]: 4, sent_packets: 0, sent_bytes: 0 });
  });
});

describe('from peers', () => {
  it('writes a packet of a peer, one hop less', () => {
    const bed = createBed();
    const packet = tcp({ ...IN, data: data(10) });
    expect(bed.fromPeer('192.168.0.2', packet)).toEqual([plain(oneHopLess(packet))]);
    expect(bed.counters()).toMatchObject({ received_packets: 1, received_bytes: 50, tun_writes: 1 });
  });

  it('puts segments together, over the borders of messages', () => {
    const bed = createBed();
    const segments = expand(runOf(tcp({ ...IN, data: data(40 * 1_000), flags: 0x18 }), 1_000));
    const [first, second] = [segments.slice(0, 15), segments.slice(15)];
    for (const part of [first, second]) {
      const bytes = Uint8Array.from(part.flatMap((packet) => [...packet]));
      bed.receiver.waiting.push({ address: addressOf('192.168.0.2'), segmentBytes: 1_040, bytes });
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
    ["a peer with an address that is nobody's", 'spoofed', '192.168.0.2', { ...IN, source: '8.8.8.8' }],
    ['a peer with the public address of another', 'spoofed', '192.168.0.2', { ...IN, source: '192.168.0.3' }],
    ['a peer to another subnet', 'misdirected', '192.168.0.2', { ...IN, destination: '10.5.3.1' }],
    ['a peer to our public address', 'misdirected', '192.168.0.2', { ...IN, destination: '192.168.0.1' }],
    ['a peer to the world', 'misdirected', '192.168.0.2', { ...IN, destination: '8.8.8.8' }],
  ] as const)('drops what comes from %s: %s', (_, reason, sender, addresses) => {
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
  ])('lets in %s', (_, addresses) => {
    expect(createBed().fromPeer('192.168.0.2', udp({ ...addresses, data: data(20) }))).toHaveLength(1);
  });

  it('does not let a spoofer in behind the run of another sender', () => {
    const bed = createBed();
    const [first = IN_PACKET, second = IN_PACKET] = expand(runOf(tcp({ ...IN, data: data(200) }), 100));
    bed.receiver.waiting.push(
      { address: addressOf('192.168.0.2'), segmentBytes: first.length, bytes: first },
      { address: addressOf('192.168.0.3'), segmentBytes: second.length, bytes: second },
    );
    bed.settle();
    expect(bed.tun.take()).toEqual([plain(oneHopLess(first))]);
    expect(bed.counters().dropped_spoofed).toBe(1);
  });

  it.each([
    ['short', new Uint8Array(0)],
    ['short', new Uint8Array(19)],
    ['version', Uint8Array.from([0x60, ...new Uint8Array(60)])],
    ['header_length', udp({ ...IN, data: data(5) }).with(0, 0x44)],
    ['total_length', udp({ ...IN, data: data(5) }).subarray(0, 30)],
    ['checksum', udp({ ...IN, data: data(5) }).with(1, 7)],
  ] as const)('drops and counts what is %s', (reason, packet) => {
    const bed = createBed();
    expect(bed.fromPeer('192.168.0.2', packet)).toEqual([]);
    expect(bed.counters()[`dropped_${reason}`]).toBe(1);
  });

  it('drops what was longer than the room for it', () => {
    const bed = createBed();
    const bytes = udp({ ...IN, data: data(20) });
    bed.receiver.waiting.push({
      address: addressOf('192.168.0.2'),
      segmentBytes: 48,
      bytes,
      truncated: true,
    });
    bed.settle();
    expect(bed.counters().dropped_truncated).toBe(1);
  });

  it('cuts off what comes after the packet', () => {
    const packet = udp({ ...IN, data: data(20) });
    const written = createBed().fromPeer('192.168.0.2', Uint8Array.from([...packet, 1, 2, 3]));
    expect(written).toEqual([plain(oneHopLess(packet))]);
  });

  it('answers a packet without a hop left to the peer that sent it, from our own subnet', () => {
    const bed = createBed();
    expect(bed.fromPeer('192.168.0.2', udp({ ...IN, ttl: 1, data: data(20) }))).toEqual([]);
    const [answer] = bed.sender.take();
    const bytes = answer?.bytes ?? new Uint8Array();
    expect(answer?.address).toBe(addressOf('192.168.0.2'));
    expect(faultOf(bytes)).toBeUndefined();
    expect([at(bytes, 20), text(bytes, 12), text(bytes, 16)]).toEqual([11, '10.5.1.0', '10.5.2.9']);
    expect(createBed().fromPeer('192.168.0.3', bytes)).toEqual([]);
  });

  it('counts packets that the device refuses', () => {
    const bed = createBed();
    bed.tun.refusal = -5;
    bed.runFromPeer('192.168.0.2', ...expand(runOf(tcp({ ...IN, data: data(5_000) }), 1_000)));
    expect(bed.counters().dropped_tun_refused).toBe(5);
  });
});

const IN_PACKET = udp({ ...IN, data: data(1) });

describe('the loop', () => {
  it('lets neither side wait for the other to end', () => {
    const bed = createBed();
    const order: string[] = [];
    for (let i = 0; i < 1_000; i++) {
      bed.tun.waiting.push(plain(udp({ ...OUT, data: data(30) })));
      bed.receiver.waiting.push({
        address: addressOf('192.168.0.2'),
        segmentBytes: IN_PACKET.length,
        bytes: IN_PACKET,
      });
    }
    bed.beforeWait = () => {
      if (bed.sender.take().length > 0) order.push('out');
      if (bed.tun.take().length > 0) order.push('in');
    };
    bed.settle();
    expect(order.slice(0, 20)).toEqual(Array.from({ length: 10 }, () => ['out', 'in']).flat());
  });

  it('waits as soon as nothing is left', () => {
    const bed = createBed();
    bed.fromHost(plain(udp({ ...OUT, data: data(30) })));
    expect(bed.poller.waits).toBe(2);
  });

  it('takes new peers over between packets, and those that stay notice nothing', () => {
    const bed = createBed();
    let turn = 0;
    bed.beforeWait = () => {
      turn++;
      if (turn > 40) return;
      const extra = { subnet: addressOf(`10.5.${100 + turn}.0`), length: 24, publicAddress: turn };
      writePeers(bed.peersMemory, [...PEERS, extra]);
      bed.tun.waiting.push(
        plain(udp({ ...OUT, data: data(30) })),
        plain(udp({ ...OUT, destination: `10.5.${100 + turn}.5`, data: data(30) })),
        plain(udp({ ...OUT, destination: `10.5.${99 + turn}.5`, data: data(30) })),
      );
    };
    bed.settle();
    const sent = bed.sender.take();
    expect(sent.filter(({ address }) => address === PEERS[0].publicAddress)).toHaveLength(40);
    expect(sent).toHaveLength(80);
    expect(bed.counters()).toMatchObject({ dropped_no_route: 40, peer_updates: 40 });
  });

  it.each([
    [
      'the device cannot be read any more',
      'TUN device: errno 77',
      (bed: Bed) => {
        bed.tun.readFailure = -77;
      },
    ],
    [
      'the device is gone',
      'TUN device is gone',
      (bed: Bed) => {
        bed.poller.failed = 1;
      },
    ],
    [
      'the socket fails without end',
      'UDP socket',
      (bed: Bed) => {
        bed.poller.failed = 2;
      },
    ],
  ])('ends with an error when %s', (_, message, spoil) => {
    const bed = createBed();
    bed.tun.waiting.push(plain(udp({ ...OUT, data: data(30) })));
    spoil(bed);
    const run = () => {
      for (let i = 0; i < 100; i++) bed.settle();
    };
    expect(run).toThrow(message);
  });

  it('says when the kernel stopped cutting runs', () => {
    const bed = createBed();
    bed.fromHost();
    expect(bed.counters().segmentation_lost).toBe(0);
    bed.socket.canSegment = false;
    bed.fromHost();
    bed.fromHost();
    expect(bed.counters().segmentation_lost).toBe(1);
  });

  it('keeps sequence numbers that go round right', () => {
    const run = runOf(tcp({ ...OUT, data: data(3_000), sequence: 0xffff_fa00 }), 1_000);
    const sent = createBed().fromHost(run);
    expect(sent.map(({ bytes }) => get32(bytes, 24))).toEqual([0xffff_fa00, 0xffff_fde8, 464]);
  });
});

type Bed = ReturnType<typeof createBed>;

describe('other protocols', () => {
  it.each([
    ['ICMP', icmp({ ...OUT, type: 8, data: data(56) })],
    ['a fragment', ipv4({ ...OUT, protocol: 17, fragment: 0x2000 | 5, payload: data(80) })],
    ['IP options', udp({ ...OUT, data: data(80), options: Uint8Array.from([1, 1, 1, 0]) })],
    ['a packet of one byte', ipv4({ ...OUT, protocol: 250, payload: data(1) })],
    ['the largest packet', ipv4({ ...OUT, protocol: 250, payload: data(65_487) })],
  ])('carries %s both ways', (_, packet) => {
    const bed = createBed();
    const tooBig = packet.length > 65_507;
    const sent = tooBig ? [] : bed.fromHost(plain(packet));
    if (!tooBig) expect(sent.map(({ bytes }) => bytes)).toEqual([oneHopLess(packet)]);
    const back = packet.slice();
    back.set(packet.subarray(12, 16), 16);
    back.set(packet.subarray(16, 20), 12);
    expect(bed.fromPeer('192.168.0.2', back)).toEqual([plain(oneHopLess(back))]);
  });
});
