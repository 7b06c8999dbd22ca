// The throughput of the udp backend beside vxlan and plain routing. They take turns in one run, so that a slow phase of
// the machine slows all of them.

import { formatSpread, formatTable, formatVerdict, median, percentile, print } from '../lab/table.ts';
import { readCounts } from './arguments.ts';
import { BACKEND_TITLES, type BackendName, type Bed, withBeds } from './bed.ts';
import { loadTcp } from './iperf.ts';
import { type DatagramLoad, loadDatagrams, measureRoundTrips } from './load.ts';

export const usage = `npm run bench -- throughput [--rounds N] [--ms N]     host-gw, vxlan and udp in turns

  --rounds N   rounds over all backends; figures are medians of them, with the lowest and the highest (default 3)
  --ms N       length of each measurement, in milliseconds (default 2000)
`;

const BACKENDS: readonly BackendName[] = ['host-gw', 'vxlan', 'udp'];

interface Figure {
  readonly title: string;
  readonly digits: number;
  /** For the ratio of udp to vxlan. */
  readonly target?: { readonly text: string; readonly isMet: (ratio: number) => boolean };
}

const FIGURES = {
  tcp1: {
    title: 'TCP, 1 stream, Gb/s',
    digits: 2,
    target: { text: '≥ 0.65', isMet: (ratio: number) => ratio >= 0.65 },
  },
  tcp1Back: { title: 'TCP, 1 stream, the other way, Gb/s', digits: 2 },
  tcp4: { title: 'TCP, 4 streams, Gb/s', digits: 2 },
  tcp4Back: { title: 'TCP, 4 streams, the other way, Gb/s', digits: 2 },
  smallSent: { title: 'UDP, 64 bytes, 1 flow, sent, 1000/s', digits: 0 },
  small: {
    title: 'UDP, 64 bytes, 1 flow, arrived, 1000/s',
    digits: 0,
    target: { text: '≥ 1.5', isMet: (ratio: number) => ratio >= 1.5 },
  },
  mixedSent: { title: 'UDP, 64 to 1400 bytes, 64 flows, sent, 1000/s', digits: 0 },
  mixed: { title: 'UDP, 64 to 1400 bytes, 64 flows, arrived, 1000/s', digits: 0 },
  roundTrip: {
    title: 'TCP round trip of 1 byte, p50, µs',
    digits: 0,
    target: { text: '≤ 1.5', isMet: (ratio: number) => ratio <= 1.5 },
  },
  roundTripSlow: { title: 'TCP round trip of 1 byte, p99, µs', digits: 0 },
  anywhere: { title: 'the same, threads of both hosts on any processor, p50, µs', digits: 0 },
  anywhereSlow: { title: 'the same, threads of both hosts on any processor, p99, µs', digits: 0 },
  busy: { title: 'processor seconds a gigabyte, 1 stream', digits: 2 },
} as const satisfies Record<string, Figure>;

type FigureName = keyof typeof FIGURES;
type Measure = Readonly<Record<FigureName, number>>;
/** The measures of one round, in the order of the backends. */
type Measures = readonly Measure[];

/** Runs the benchmark and prints its table. */
export async function run(args: readonly string[]): Promise<void> {
  const { rounds, ms } = readCounts(args, { rounds: 3, ms: 2_000 });
  print(`\nThroughput between two containers, ${rounds} rounds in turns, ${ms} ms a measurement\n\n`);
  await withBeds(BACKENDS, async (beds) => {
    // The first packets of an agent's life run through code that is not compiled yet.
    for (const bed of beds) await loadTcp(bed, bed.first, bed.second, 1, ms);
    const measures: Measures[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const inTurn: Measure[] = [];
      for (const bed of beds) inTurn.push(await measure(bed, ms));
      measures.push(inTurn);
    }
    print(`${formatFigures(measures)}\n`);
  });
}

function formatFigures(rounds: readonly Measures[]): string {
  const columns = [
    { title: 'median (lowest to highest)', align: 'left' as const },
    ...BACKENDS.map((backend) => ({ title: BACKEND_TITLES[backend] })),
    { title: 'udp / vxlan' },
    { title: 'target', align: 'left' as const },
  ];
  const rows = (Object.entries(FIGURES) as [FigureName, Figure][]).map(
    ([name, { title, digits, target }]) => {
      const values = (backend: BackendName): number[] =>
        rounds.map((round) => round[BACKENDS.indexOf(backend)]?.[name] ?? Number.NaN);
      const ratio = median(values('udp')) / median(values('vxlan'));
      return [
        title,
        ...BACKENDS.map((backend) => formatSpread(values(backend), digits)),
        ratio.toFixed(2),
        target === undefined ? '' : formatVerdict(target.text, target.isMet(ratio)),
      ];
    },
  );
  return formatTable(columns, rows);
}

async function measure(bed: Bed, forMs: number): Promise<Measure> {
  const { first, second } = bed;
  const tcp1 = await loadTcp(bed, first, second, 1, forMs);
  const tcp1Back = await loadTcp(bed, second, first, 1, forMs);
  const tcp4 = await loadTcp(bed, first, second, 4, forMs);
  const tcp4Back = await loadTcp(bed, second, first, 4, forMs);
  const small = await loadDatagrams(bed, { bytes: 64, forMs });
  const mixed = await loadDatagrams(bed, { bytes: 'mixed', spread: 8, forMs });
  const times = (await measureRoundTrips(bed, forMs, true)).toSorted((a, b) => a - b);
  const anywhere = (await measureRoundTrips(bed, forMs, false)).toSorted((a, b) => a - b);
  const gigabits = ({ bytes, tookMs }: typeof tcp1): number => (bytes * 8) / tookMs / 1e6;
  return {
    tcp1: gigabits(tcp1),
    tcp1Back: gigabits(tcp1Back),
    tcp4: gigabits(tcp4),
    tcp4Back: gigabits(tcp4Back),
    smallSent: sentRate(small),
    small: arrivedRate(small),
    mixedSent: sentRate(mixed),
    mixed: arrivedRate(mixed),
    roundTrip: percentile(times, 50),
    roundTripSlow: percentile(times, 99),
    anywhere: percentile(anywhere, 50),
    anywhereSlow: percentile(anywhere, 99),
    busy: tcp1.busySeconds / (tcp1.bytes / 1e9),
  };
}

// Datagrams per millisecond, which is thousands a second.
function sentRate({ sent }: DatagramLoad): number {
  return sent.sent / sent.tookMs;
}

function arrivedRate({ counted }: DatagramLoad): number {
  return counted.received / counted.tookMs;
}
