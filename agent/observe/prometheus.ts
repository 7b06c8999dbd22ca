// Writes metrics in the text format of Prometheus. The library is loaded by the first scrape, and of it the registry
// alone: its counters would have to exist before the first scrape, and its metrics of the process take 5 MiB.
import type { Metric as LibraryMetric, Registry } from 'prom-client';
import { printable } from '../base/printable.ts';
import { type Family, type FamilyName, METRIC_FAMILIES } from '../model/metric-families.ts';
import type { DistributedMetric, Labels, Metric, SampledMetric } from '../model/metrics.ts';

/** `sharedLabels`: the library formats the same object but once. */
interface Value {
  readonly metricName?: string;
  readonly sharedLabels: Labels;
  readonly value: number;
}

const NO_LABELS: Labels = {};
/** The known labels of the families that were asked for, by the values of the labels. */
const KNOWN_LABELS = new Map<FamilyName, ReadonlyMap<string, Labels>>();
/** The label of each bound of a histogram. */
const BOUND_LABELS = new Map<number, Labels>();

/** The answer to a scrape. */
export async function formatMetrics(metrics: readonly Metric[]): Promise<string> {
  const { default: EmptyRegistry } = await import('prom-client/lib/registry.js');
  const registry: Registry = new EmptyRegistry();
  for (const metric of metrics) {
    const { family } = metric;
    const { type, help } = METRIC_FAMILIES[family];
    const values = 'distribution' in metric ? bucketsOf(metric) : valuesOf(metric);
    const get = async () => ({ name: family, help, type, aggregator: 'sum', values });
    // The registry asks a metric for nothing else.
    registry.registerMetric({ name: family, get } as unknown as LibraryMetric);
  }
  return registry.metrics();
}

/** The numbers of a family: one for each of its known labels. */
function valuesOf({ family, samples }: SampledMetric): readonly Value[] {
  const known = knownLabelsOf(family);
  if (known.size === 0) return samples.map(({ labels, value }) => ({ sharedLabels: clean(labels), value }));
  const given = new Map(samples.map(({ labels = NO_LABELS, value }) => [idOf(labels), value]));
  return [...known].map(([id, sharedLabels]) => ({ sharedLabels, value: given.get(id) ?? 0 }));
}

// A name of a link, or of a peer, may hold any characters.
function clean(labels: Labels = NO_LABELS): Labels {
  const pairs = Object.entries(labels);
  return pairs.length === 0
    ? NO_LABELS
    : Object.fromEntries(pairs.map(([name, text]) => [name, printable(text)]));
}

function bucketsOf({ family, distribution }: DistributedMetric): readonly Value[] {
  const { bounds, atMost, count, sum } = distribution;
  const metricName = `${family}_bucket`;
  const bucket = (bound: number, value: number): Value => ({
    metricName,
    sharedLabels: boundLabels(bound),
    value,
  });
  return [
    ...bounds.map((bound, i) => bucket(bound, atMost[i] ?? 0)),
    bucket(Infinity, count),
    { metricName: `${family}_sum`, sharedLabels: NO_LABELS, value: sum },
    { metricName: `${family}_count`, sharedLabels: NO_LABELS, value: count },
  ];
}

function boundLabels(bound: number): Labels {
  const labels = BOUND_LABELS.get(bound) ?? { le: bound === Infinity ? '+Inf' : String(bound) };
  BOUND_LABELS.set(bound, labels);
  return labels;
}

function knownLabelsOf(family: FamilyName): ReadonlyMap<string, Labels> {
  const { labels }: Family = METRIC_FAMILIES[family];
  const known = KNOWN_LABELS.get(family) ?? new Map(combinationsOf(labels).map((one) => [idOf(one), one]));
  KNOWN_LABELS.set(family, known);
  return known;
}

/** All labels of a family; none where a label has any text, or where there is no label. */
function combinationsOf(labels: Family['labels']): readonly Labels[] {
  if (labels === undefined) return [];
  let all: readonly Labels[] = [NO_LABELS];
  for (const [name, texts] of Object.entries(labels)) {
    if (texts === undefined) return [];
    all = all.flatMap((one) => texts.map((text) => ({ ...one, [name]: text })));
  }
  return all;
}

/** The parts give labels in the order of the table. */
function idOf(labels: Labels): string {
  return Object.values(labels).join('\n');
}
