import { createEndpoints } from 'dgram-native';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../backends/udp/limits.ts';
import { createBed, plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { at, faultOf, get16, tcp, text, udp } from './packets.ts';
import { data, OUT, oneHopLess } from './traffic.ts';

describe('a narrow path', () => {
  const EMSGSIZE = 90;
  const narrow = (limit: number) => {
    const bed = createBed();
    bed.socket.paths.set('192.168.0.2', limit);
    bed.socket.send = (message) => {
      const { arena, endpoint, segmentBytes, pieces } = message;
      const isNarrow = createEndpoints(arena).address(endpoint) === '192.168.0.2';
      const largest = segmentBytes > 0 ? segmentBytes : pieces.bytes();
      return isNarrow && largest > limit ? EMSGSIZE : bed.socket.record(message);
    };
    return bed;
  };

  it('a narrow path is reported to the sender of each packet that forbids fragments', () => {
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

  it('a narrow path is reported to the sender of a run of segments', () => {
    const bed = narrow(1_300);
    const run = runOf(tcp({ ...OUT, data: data(9_000) }), 1_420);
    for (const times of [1, 2]) {
      // The MTU of the path is unknown at first, and the short end of the run still passes.
      expect(bed.fromHost(run)).toHaveLength(times === 1 ? 1 : 0);
      const answers = bed.tun.take().map((written) => written.subarray(10));
      expect(answers.map((answer) => get16(answer, 26))).toContain(1_300);
      if (times === 2) expect(answers).toHaveLength(1);
    }
  });

  it.each(['packet', 'run'])('a narrow path gets the fragments of a %s that allows them', (kind) => {
    const bed = narrow(1_300);
    for (const round of [1, 2]) {
      const packet = udp({ ...OUT, data: data(2_800), id: 77, fragment: 0 });
      const wanted = kind === 'run' ? expand(runOf(oneHopLess(packet), 1_400)) : [oneHopLess(packet)];
      const sent = bed.fromHost(kind === 'run' ? runOf(packet, 1_400) : plain(packet));
      expect(sent.every(({ bytes }) => bytes.length <= 1_300 && faultOf(bytes) === undefined)).toBe(true);
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

  it('the MTU of a narrow path is read again after a while, and a wider path gets whole packets', () => {
    const bed = narrow(1_000);
    const packet = plain(udp({ ...OUT, data: data(1_200) }));
    bed.fromHost(packet);
    bed.socket.send = (message) => bed.socket.record(message);
    bed.socket.paths.clear();
    expect(bed.fromHost(packet)).toEqual([]);
    bed.nowMs += 10_000;
    expect(bed.fromHost(packet)).toHaveLength(1);
  });

  it('an unlikely MTU is not believed of a path that refused a larger packet', () => {
    const bed = narrow(1_300);
    bed.socket.paths.set('192.168.0.2', 524);
    bed.fromHost(plain(udp({ ...OUT, data: data(1_400) })));
    const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
    expect(get16(answer, 26)).toBe(LIMITS.pathFloorBytes);
    const packet = plain(udp({ ...OUT, data: data(LIMITS.pathFloorBytes - 28) }));
    expect(bed.fromHost(packet)).toHaveLength(1);
  });

  it('a link below the floor is believed once it refuses a packet below the floor', () => {
    const bed = narrow(1_000);
    for (const [bytes, mtu] of [
      [1_400, LIMITS.pathFloorBytes],
      [LIMITS.pathFloorBytes, 1_000],
    ] as const) {
      bed.fromHost(plain(udp({ ...OUT, data: data(bytes - 28) })));
      const [answer = new Uint8Array()] = bed.tun.take().map((written) => written.subarray(10));
      expect(get16(answer, 26)).toBe(mtu);
    }
    expect(bed.fromHost(plain(udp({ ...OUT, data: data(972) })))).toHaveLength(1);
  });

  it('a narrow path does not concern the packets to other peers', () => {
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
  ] as const)('a narrow path counts packets that the kernel refuses with errno %i as %s', (errno, reason) => {
    const bed = createBed();
    bed.socket.send = () => errno;
    bed.fromHost(runOf(tcp({ ...OUT, data: data(5_680) }), 1_420));
    expect(bed.counters()).toMatchObject({ [`dropped_${reason}`]: 4, sent_packets: 0, sent_bytes: 0 });
  });
});
