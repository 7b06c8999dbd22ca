// Writes metrics in the text format of Prometheus. The library is loaded by the first scrape, and of it the registry
// alone: its counters would have to exist before the first scrape, and its metrics of the process take 5 MiB.
import type { Metric as LibraryMetric, Registry } from 'prom-client';
import { printable } from '../base/printable.ts';
import { type Family, type FamilyName, METRIC_FAMILIES } from '../model/metric-families.ts';
import type { Distribution, Labels, Metric, Sample } from '../model/metrics.ts';

/** Undefined as a value of a parameter: the value has any text. */
type LabelNames = readonly (readonly [string, readonly string[] | undefined])[];

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** The answer to a scrape. Of two metrics of one family the samples are put together. */
export async function formatMetrics(metrics: readonly Metric[]): Promise<string> {
  const { default: EmptyRegistry } = await import('prom-client/lib/registry.js');
  const registry: Registry = new EmptyRegistry();
  for (const [family, values] of valuesByFamily(metrics)) {
    const { type, help }: Family = METRIC_FAMILIES[family];
    const get = async () => ({ name: family, help, type, aggregator: 'sum', values });
    // The registry asks a metric for nothing else.
    registry.registerMetric({ name: family, get } as unknown as LibraryMetric);
  }
  return registry.metrics();
}

function valuesByFamily(metrics: readonly Metric[]): ReadonlyMap<FamilyName, readonly Value[]> {
  const values = new Map<FamilyName, Value[]>();
  const add = (family: FamilyName, more: readonly Value[]): void => {
    values.set(family, [...(values.get(family) ?? []), ...more]);
  };
  for (const metric of metrics) {
    const { family } = metric;
    if ('distribution' in metric) add(family, bucketsOf(family, metric.distribution));
    else add(family, metric.samples.map(clean));
  }
  for (const [family, given] of values) {
    const { labels = {} }: Family = METRIC_FAMILIES[family];
    add(family, missingOf(Object.entries(labels), given));
  }
  return values;
}

// A name of a link, or of a peer, may hold any characters.
function clean({ labels = {}, value }: Sample): Value {
  const pairs = Object.entries(labels).map(([name, text]) => [name, printable(text)] as const);
  return { labels: Object.fromEntries(pairs), value };
}

function bucketsOf(name: string, { bounds, atMost, count, sum }: Distribution): readonly Value[] {
  const bucket = (le: number | string, value: number): Value => ({
    metricName: `${name}_bucket`,
    labels: { le: String(le) },
    value,
  });
  return [
    ...bounds.map((bound, i) => bucket(bound, atMost[i] ?? 0)),
    bucket('+Inf', count),
    { metricName: `${name}_sum`, labels: {}, value: sum },
    { metricName: `${name}_count`, labels: {}, value: count },
  ];
}

/** Zeros for the known values of the labels that have no number. */
function missingOf(names: LabelNames, given: readonly Value[]): readonly Value[] {
  if (names.length === 0) return [];
  let all: Labels[] = [{}];
  for (const [name, texts] of names) {
    if (texts === undefined) return [];
    all = all.flatMap((labels) => texts.map((text) => ({ ...labels, [name]: text })));
  }
  const idOf = (labels: Labels): string => JSON.stringify(names.map(([name]) => labels[name]));
  const known = new Set(given.map(({ labels }) => idOf(labels)));
  return all.filter((labels) => !known.has(idOf(labels))).map((labels) => ({ labels, value: 0 }));
}
