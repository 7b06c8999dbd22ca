import { describe, expect, it } from 'vitest';
import { writePeers } from '../../../../backends/udp/peer-routes.ts';
import { type Bed, createBed, messageFrom, PEERS, plain } from './bed.ts';
import { runOf } from './expand.ts';
import { addressOf, get32, icmp, ipv4, tcp, udp } from './packets.ts';
import { data, IN, OUT, oneHopLess } from './traffic.ts';

const IN_PACKET = udp({ ...IN, data: data(1) });

describe('the forwarder', () => {
  it('the forwarder alternates between both sides while both have packets', () => {
    const bed = createBed();
    const order: string[] = [];
    for (let i = 0; i < 1_000; i++) {
      bed.tun.waiting.push(plain(udp({ ...OUT, data: data(30) })));
      bed.socket.offer([messageFrom('192.168.0.2', IN_PACKET)]);
    }
    bed.beforeWait = () => {
      if (bed.socket.take().length > 0) order.push('out');
      if (bed.tun.take().length > 0) order.push('in');
    };
    bed.settle();
    expect(order.slice(0, 20)).toEqual(Array.from({ length: 10 }, () => ['out', 'in']).flat());
  });

  it('the forwarder waits as soon as no packet is left', () => {
    const bed = createBed();
    bed.fromHost(plain(udp({ ...OUT, data: data(30) })));
    expect(bed.poller.waits).toBe(2);
  });

  it('the forwarder takes over new peers between packets, and loses no packet of a peer that stays', () => {
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
    const sent = bed.socket.take();
    expect(sent.filter(({ address }) => address === '192.168.0.2')).toHaveLength(40);
    expect(sent).toHaveLength(80);
    expect(bed.counters()).toMatchObject({ dropped_no_route: 40, peer_updates: 40 });
  });

  it.each([
    [
      'the device cannot be read any more',
      'cannot read from the TUN device: EBADFD',
      (bed: Bed) => {
        bed.tun.read = () => -77;
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
  ])('the forwarder ends with an error when %s', (_, message, spoil) => {
    const bed = createBed();
    bed.tun.waiting.push(plain(udp({ ...OUT, data: data(30) })));
    spoil(bed);
    const run = () => {
      for (let i = 0; i < 100; i++) bed.settle();
    };
    expect(run).toThrow(message);
  });

  it('the forwarder counts that the kernel stopped cutting runs', () => {
    const bed = createBed();
    bed.fromHost();
    expect(bed.counters().segmentation_lost).toBe(0);
    bed.socket.canSegment = false;
    bed.fromHost();
    bed.fromHost();
    expect(bed.counters().segmentation_lost).toBe(1);
  });

  it('the forwarder keeps wrapped sequence numbers right', () => {
    const run = runOf(tcp({ ...OUT, data: data(3_000), sequence: 0xffff_fa00 }), 1_000);
    const sent = createBed().fromHost(run);
    expect(sent.map(({ bytes }) => get32(bytes, 24))).toEqual([0xffff_fa00, 0xffff_fde8, 464]);
  });
});

describe('the forwarder', () => {
  it.each([
    ['ICMP', icmp({ ...OUT, type: 8, data: data(56) })],
    ['a fragment', ipv4({ ...OUT, protocol: 17, fragment: 0x2000 | 5, payload: data(80) })],
    ['IP options', udp({ ...OUT, data: data(80), options: Uint8Array.from([1, 1, 1, 0]) })],
    ['a packet of one byte', ipv4({ ...OUT, protocol: 250, payload: data(1) })],
    ['the largest packet', ipv4({ ...OUT, protocol: 250, payload: data(65_487) })],
  ])('the forwarder carries %s both ways', (_, packet) => {
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
