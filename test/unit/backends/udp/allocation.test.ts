// The forwarder takes no memory for a packet: it lives in a thread with a small heap, and what is never taken is never
// collected while packets wait.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { addressOf, tcp, udp } from './packets.ts';
import { createQuietBed } from './quiet-doubles.ts';

const OUT = { source: '10.5.1.7', destination: '10.5.2.9' };
const IN = { source: '10.5.2.9', destination: '10.5.1.7' };
const BATCHES = 50;
const PACKETS_A_BATCH = 20_000;
// The compiler works beside us, and what it has not compiled yet does allocate.
const MOST_WARM_UPS = 200;
// Asking for the size of the heap takes some; one number for each packet would be 320,000.
const SETTLED_BYTES = 20_000;

type Bed = ReturnType<typeof createQuietBed>;

interface Kind {
  readonly what: string;
  /** Moves at least `packets` packets. */
  readonly prepare: (bed: Bed) => (packets: number) => void;
}

function outward(packet: Uint8Array, each: number) {
  return (bed: Bed) => {
    bed.tun.packet = packet as Uint8Array<ArrayBuffer>;
    return (packets: number) => {
      bed.tun.waiting = Math.ceil(packets / each);
      bed.settle();
    };
  };
}

function inward(packets: readonly Uint8Array[], sender = '192.168.0.2') {
  return (bed: Bed) => {
    const bytes = Buffer.concat(packets);
    const address = addressOf(sender);
    const segmentBytes = packets[0]?.length ?? 0;
    return (count: number) => {
      for (let done = 0; done < count; done += 8 * packets.length) {
        for (let i = 0; i < 8; i++) {
          bed.arena.u8.set(bytes, bed.receiver.rooms[i]);
          bed.receiver.lengths[i] = bytes.length;
          bed.receiver.segments[i] = segmentBytes;
          bed.receiver.senders[i] = address;
        }
        bed.receiver.offer(8);
        bed.settle();
      }
    };
  };
}

const run = runOf(tcp({ ...OUT, data: new Uint8Array(60_000) }), 1_420);
const segments = expand(runOf(tcp({ ...IN, data: new Uint8Array(60_000) }), 1_420));
const small = udp({ ...IN, data: new Uint8Array(64) });

const KINDS: readonly Kind[] = [
  { what: 'small packets to a peer', prepare: outward(plain(udp({ ...OUT, data: new Uint8Array(64) })), 1) },
  { what: 'runs to a peer', prepare: outward(run, 43) },
  {
    what: 'packets to nobody',
    prepare: outward(plain(udp({ ...OUT, destination: '10.5.9.9', data: small })), 1),
  },
  { what: 'small packets from a peer', prepare: inward([small]) },
  { what: 'runs from a peer', prepare: inward(segments) },
  { what: 'packets of strangers', prepare: inward([small], '192.168.0.9') },
];

function grownBy(work: () => void): number {
  const before = process.memoryUsage().heapUsed;
  work();
  return process.memoryUsage().heapUsed - before;
}

describe('a million packets take no memory:', () => {
  it.each(KINDS)('$what', { timeout: 120_000 }, async ({ prepare }) => {
    const bed = createQuietBed();
    const move = prepare(bed);
    const work = () => move(PACKETS_A_BATCH);
    let warmUps = 0;
    for (let settled = 0; settled < 5 && warmUps < MOST_WARM_UPS; warmUps++) {
      settled = Math.abs(grownBy(work)) < SETTLED_BYTES ? settled + 1 : 0;
      await nextTurn();
    }
    let bytes = 0;
    // What a collection takes away again does not count against what was taken before it.
    for (let i = 0; i < BATCHES; i++) bytes += Math.max(0, grownBy(work));
    expect(bytes / (BATCHES * PACKETS_A_BATCH)).toBeLessThan(1);
  });
});
