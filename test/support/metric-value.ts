// Numbers out of metrics.
import type { FamilyName } from '../../agent/model/metric-families.ts';
import type { Labels, Metric } from '../../agent/model/metrics.ts';

/** The number of a family with these labels, whatever others it has; undefined: there is none. */
export function valueOf(
  metrics: readonly Metric[],
  family: FamilyName,
  labels: Labels = {},
): number | undefined {
  const samples = metrics.flatMap((metric) =>
    metric.family === family && 'samples' in metric ? metric.samples : [],
  );
  return samples.find((sample) =>
    Object.entries(labels).every(([name, value]) => sample.labels?.[name] === value),
  )?.value;
}
