// The forwarder allocates nothing for a packet: its thread has a small heap, and no garbage is collected while packets
// wait.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { messageFrom, plain } from './bed.ts';
import { expand, runOf } from './expand.ts';
import { tcp, udp } from './packets.ts';
import { createQuietBed, type QuietBed } from './quiet-bed.ts';

const OUT = { source: '10.5.1.7', destination: '10.5.2.9' };
const IN = { source: '10.5.2.9', destination: '10.5.1.7' };
const BATCHES = 50;
const PACKETS_A_BATCH = 20_000;
// The optimising compiler works beside us, and code that it has not compiled yet does allocate.
const MOST_WARM_UPS = 200;
// Asking for the size of the heap allocates less; one number for each packet would be 320,000.
const SETTLED_BYTES = 20_000;

interface Kind {
  readonly what: string;
  /** Moves at least `packets` packets. */
  readonly prepare: (bed: QuietBed) => (packets: number) => void;
}

function outward(packet: Uint8Array, each: number) {
  return (bed: QuietBed) => {
    bed.packet = packet;
    return (packets: number) => {
      bed.waiting = Math.ceil(packets / each);
      bed.settle();
    };
  };
}

function inward(packets: readonly Uint8Array[], sender = '192.168.0.2') {
  return (bed: QuietBed) => {
    const message = messageFrom(sender, Buffer.concat(packets), packets[0]?.length);
    const messages = Array.from({ length: 8 }, () => message);
    return (count: number) => {
      for (let done = 0; done < count; done += 8 * packets.length) {
        bed.offer(messages);
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
    what: 'packets that no peer has the destination of',
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

describe('a million packets allocate nothing:', () => {
  it.each(KINDS)('a million packets allocate nothing: $what', { timeout: 120_000 }, async ({ prepare }) => {
    const bed = createQuietBed();
    const move = prepare(bed);
    const work = () => move(PACKETS_A_BATCH);
    let warmUps = 0;
    for (let settled = 0; settled < 5 && warmUps < MOST_WARM_UPS; warmUps++) {
      settled = Math.abs(grownBy(work)) < SETTLED_BYTES ? settled + 1 : 0;
      await nextTurn();
    }
    let bytes = 0;
    // A collection shrinks the heap; that does not make up for allocations before it.
    for (let i = 0; i < BATCHES; i++) bytes += Math.max(0, grownBy(work));
    expect(bytes / (BATCHES * PACKETS_A_BATCH)).toBeLessThan(1);
  });
});
