// The functions that move packets allocate nothing, so that no garbage is collected while packets wait.
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createPacketFile, createPoller } from '../src/index.ts';
import { FAMILIES, openPair, type Pair } from './pair.ts';

const BATCH = 5_000;
const BATCHES = 50;
/** Batches until the compiler, which runs in another thread, is done. Code that is not optimised allocates. */
const MOST_WARM_UP_BATCHES = 200;
/** Asking for the size of the heap allocates less. One number for each round would be 80 kB a batch. */
const SETTLED_BYTES = 8_000;
const MOST_BYTES = BATCHES * SETTLED_BYTES;
/** Collections of garbage that was there before; the rounds themselves cause none. */
const MOST_COLLECTIONS = 3;

interface Cost {
  readonly rounds: number;
  readonly bytes: number;
  readonly collections: number;
}

function allocatedBy(work: () => void): number {
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < BATCH; i += 1) work();
  return process.memoryUsage().heapUsed - before;
}

async function costOf(work: () => void): Promise<Cost> {
  let warmUps = 0;
  for (let settled = 0; settled < 5 && warmUps < MOST_WARM_UP_BATCHES; warmUps += 1) {
    settled = Math.abs(allocatedBy(work)) < SETTLED_BYTES ? settled + 1 : 0;
    await nextTurn();
  }
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  let bytes = 0;
  // A collection shrinks the heap; that does not make up for allocations before it.
  for (let i = 0; i < BATCHES; i += 1) bytes += Math.max(0, allocatedBy(work));
  await nextTurn();
  await nextTurn();
  observer.disconnect();
  return { rounds: (warmUps + BATCHES) * BATCH, bytes, collections };
}

const KINDS = [
  { what: 'single datagrams', segmentBytes: 0, segmentation: true },
  { what: 'runs that the kernel cuts', segmentBytes: 100, segmentation: true },
  { what: 'runs that the sender cuts', segmentBytes: 100, segmentation: false },
].flatMap((kind) => FAMILIES.map(({ family, address }) => ({ ...kind, family, address })));

describe('a million calls', () => {
  it.each(KINDS)(
    'calls that send and receive $what over $family allocate nothing',
    { timeout: 120_000 },
    async (kind) => {
      using pair = openPair({ address: kind.address, from: { segmentation: kind.segmentation } });
      const poller = createPoller(pair.arena, [pair.to.fd]);
      let received = 0;
      const work = (): void => {
        received += exchange(pair, kind.segmentBytes) + poller.wait(0);
      };
      const { rounds, bytes, collections } = await costOf(work);
      expect(received).toBe(300 * rounds);
      expect(bytes).toBeLessThan(MOST_BYTES);
      expect(collections).toBeLessThanOrEqual(MOST_COLLECTIONS);
    },
  );

  it('refused sends, packet reads and packet writes allocate nothing', {
    timeout: 120_000,
  }, async () => {
    using pair = openPair();
    const file = createPacketFile(pair.arena, pair.to.fd, 4);
    let refused = 0;
    const { rounds, bytes, collections } = await costOf(() => {
      pair.sender.begin(pair.target, 0);
      pair.sender.append(pair.payload, 65_536);
      refused += pair.sender.flush();
      // The socket stands for a device: while it is not connected it takes no packet, and has none.
      refused += file.read(pair.payload, 1000);
      file.append(pair.payload, 100);
      refused += file.write() === -89 ? 1 : 0;
    });
    expect(refused).toBe(2 * rounds);
    expect(bytes).toBeLessThan(MOST_BYTES);
    expect(collections).toBeLessThanOrEqual(MOST_COLLECTIONS);
  });
});

// Sends and receives once, then once more without success. Gives the received bytes.
function exchange(pair: Pair, segmentBytes: number): number {
  const { arena, endpoints, sender, receiver, source, target, payload } = pair;
  endpoints.setIpv4(pair.unused, 0xffffffff | 0, 9);
  sender.begin(target, segmentBytes);
  sender.append(payload, 20);
  sender.append(payload + 20, 280);
  if (sender.flush() !== 0) return 0;
  let bytes = 0;
  for (let count = receiver.receive(); count > 0; count = receiver.receive()) {
    for (let i = 0; i < count; i += 1) {
      const isGood =
        !receiver.isTruncated(i) &&
        endpoints.equals(receiver.source(i), source) &&
        endpoints.ipv4(receiver.source(i)) === endpoints.ipv4(source) &&
        endpoints.port(receiver.source(i)) === endpoints.port(source) &&
        receiver.segmentBytes(i) <= 300;
      if (!isGood || arena.u8[receiver.offset(i)] === undefined) return 0;
      bytes += receiver.length(i);
    }
  }
  return bytes;
}
