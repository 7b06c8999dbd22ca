// Damaged packets from peers, strangers and spoofers. No byte outside a packet is read or written, and only packets are
// delivered that a peer sent from its own subnet to ours. `TWILL_FUZZ_PACKETS` is their number.
import type { Pieces } from 'dgram-native/testing';
import { expect, it } from 'vitest';
import { DROP_REASONS } from '../../../../backends/udp/counters.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { messageFrom } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { addressOf, icmp, ipv4, randomBytes, tcp, udp } from './packets.ts';
import { createQuietBed } from './quiet-bed.ts';

const PACKETS = Number(process.env['TWILL_FUZZ_PACKETS'] ?? 300_000);
const SEED = Number(process.env['TWILL_FUZZ_SEED'] ?? 1);

const PEER = '192.168.0.2';
const OTHER = '192.168.0.3';
const SENDERS = [PEER, PEER, PEER, PEER, OTHER, '192.168.0.9', '0.0.0.0', '255.255.255.255'];
const MESSAGES = 8;

it(`the forwarder survives ${PACKETS} damaged packets and delivers valid ones only`, {
  timeout: 600_000,
}, () => {
  const bed = createQuietBed();
  const { u8 } = bed;
  const random = seededRandom(SEED);
  const below = (n: number): number => Math.floor(random() * n);
  const messages = corpus();
  const view = new DataView(u8.buffer);
  let delivered = 0;
  let runs = 0;

  const senders = Array.from({ length: MESSAGES }, () => PEER);

  // Checks what is written with as little code shared with the forwarder as can be.
  bed.onWrite = (pieces: Pieces) => {
    const offload = pieces.offset(0);
    const head = pieces.offset(1);
    const first = bed.messageAt(head, pieces.length(1));
    if (pieces.count() < 2 || pieces.length(0) !== 10 || first < 0) expect.fail('not a packet of a message');
    const sender = senders[first];
    let total = 0;
    for (let i = 1; i < pieces.count(); i++) {
      const message = bed.messageAt(pieces.offset(i), pieces.length(i));
      if (message < 0) expect.fail('outside');
      if (senders[message] !== sender) expect.fail('a run of two senders');
      total += pieces.length(i);
    }
    if (view.getUint16(head + 2) !== total || total < 20 || total > 65_535) expect.fail('wrong length');
    if ((u8[head] as number) >> 4 !== 4) expect.fail('not IPv4');
    const source = view.getInt32(head + 12);
    const isOfPeer = sender === PEER && source >> 8 === addressOf('10.5.2.0') >> 8;
    const isOfOther = sender === OTHER && source >> 8 === addressOf('10.5.3.0') >> 8;
    const isHost = (sender === PEER || sender === OTHER) && source === addressOf(sender);
    if (!isOfPeer && !isOfOther && !isHost) expect.fail('spoofed');
    if (view.getInt32(head + 16) >> 8 !== addressOf('10.5.1.0') >> 8) expect.fail('misdirected');
    if (headerSum(view, head) !== 0xffff) expect.fail('wrong header sum');
    if ((u8[offload + 1] as number) !== 0) runs++;
    if ((u8[offload + 1] as number) === 0 && pieces.count() !== 2) expect.fail('a run without a size');
    delivered++;
  };

  const damage = (bytes: Uint8Array, segmentBytes: number): void => {
    for (let n = below(4); n > 0; n--) {
      // Most of it in a header, where every bit has a meaning.
      const within = random() < 0.8 ? below(44) : below(segmentBytes);
      const place = below(Math.ceil(bytes.length / segmentBytes)) * segmentBytes + within;
      if (place < bytes.length) {
        bytes[place] = random() < 0.5 ? below(256) : (bytes[place] as number) ^ (1 << below(8));
      }
    }
    if (random() < 0.5) {
      const all = new DataView(bytes.buffer);
      for (let from = 0; from + 20 <= bytes.length; from += segmentBytes)
        mend(all, from, bytes.length - from);
    }
  };

  let fed = 0;
  while (fed < PACKETS) {
    const offered = senders.map((_, i) => {
      const whole = messages[below(messages.length)] ?? { bytes: new Uint8Array(), segmentBytes: 0 };
      const bytes = whole.bytes.slice(
        0,
        random() < 0.95 ? whole.bytes.length : below(whole.bytes.length + 1),
      );
      const { length } = bytes;
      const segment = random() < 0.95 ? Math.min(whole.segmentBytes, length) : below(length + 1);
      if (length > 0) damage(bytes, Math.max(segment, 1));
      const sender = SENDERS[below(SENDERS.length)] ?? PEER;
      senders[i] = sender;
      fed += Math.max(1, Math.ceil(length / Math.max(1, segment === 0 ? length : segment)));
      return messageFrom(sender, bytes, segment);
    });
    bed.offer(offered);
    bed.settle();
  }

  const counters = bed.counters();
  const dropped = DROP_REASONS.reduce((sum, reason) => sum + counters[`dropped_${reason}`], 0);
  expect(dropped + counters.received_packets).toBe(fed);
  expect(counters.received_packets).toBeGreaterThanOrEqual(delivered);
  // Every kind of outcome has occurred.
  for (const reason of [
    'short',
    'version',
    'header_length',
    'total_length',
    'checksum',
    'stranger',
    'spoofed',
    'misdirected',
    'hops',
  ] as const) {
    expect(counters[`dropped_${reason}`], reason).toBeGreaterThan(0);
  }
  expect(runs).toBeGreaterThan(PACKETS / 1_000);
  expect(delivered).toBeGreaterThan(PACKETS / 20);
});

// Good messages of all kinds: runs, single packets, and several senders.
function corpus(): { readonly bytes: Uint8Array; readonly segmentBytes: number }[] {
  const random = seededRandom(9);
  const all: { readonly bytes: Uint8Array; readonly segmentBytes: number }[] = [];
  const pairs = [
    { source: '10.5.2.9', destination: '10.5.1.7' },
    { source: '10.5.2.9', destination: '10.5.1.7' },
    { source: '10.5.3.9', destination: '10.5.1.7' },
    { source: '192.168.0.2', destination: '10.5.1.7' },
    { source: '10.5.2.9', destination: '10.5.3.7' },
  ];
  for (const pair of pairs) {
    for (const size of [1, 7, 60, 100, 101, 536]) {
      const fields = { ...pair, ttl: random() < 0.1 ? 1 : 9, data: randomBytes(random, size * 6) };
      for (const packet of [
        tcp({ ...fields, tcpOptions: randomBytes(random, 12) }),
        tcp(fields),
        udp(fields),
      ]) {
        const packets = expand(runOf(packet, size));
        all.push({
          bytes: Uint8Array.from(packets.flatMap((one) => [...one])),
          segmentBytes: packets[0]?.length ?? 0,
        });
      }
    }
    for (const packet of [
      icmp({ ...pair, type: 8, data: randomBytes(random, 56) }),
      ipv4({ ...pair, protocol: 17, fragment: 0x2003, payload: randomBytes(random, 64) }),
      udp({ ...pair, data: randomBytes(random, 90), options: Uint8Array.from([1, 1, 1, 0]) }),
      ipv4({ ...pair, protocol: 6, payload: randomBytes(random, 9) }),
    ]) {
      all.push({ bytes: packet, segmentBytes: packet.length });
    }
  }
  return all;
}

function headerSum(view: DataView, at: number): number {
  let sum = 0;
  for (let i = 0; i < (view.getUint8(at) & 15) * 4; i += 2) sum += view.getUint16(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

function mend(view: DataView, at: number, room: number): void {
  const length = Math.max((view.getUint8(at) & 15) * 4, 20);
  if (length > room) return;
  view.setUint16(at + 10, 0);
  view.setUint16(at + 10, ~headerSum(view, at) & 0xffff);
}
