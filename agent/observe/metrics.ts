// Metrics in the text format of Prometheus. Values are read for each scrape, so that they cost nothing without one.
// (prom-client writes the same lines and takes 12 MiB of memory.)

/** One number, or several that differ in a label. */
export interface Metric {
  /** Lower case with underscores. `_total` is appended to the name of a counter. */
  readonly name: string;
  /** Meaning and unit, one line. */
  readonly help: string;
  /** A counter only grows while the agent runs. */
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly value: number;
  /** Values are our own words, which need no escaping. */
  readonly labels?: Readonly<Record<string, string>>;
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Formats the answer to a scrape. */
export function formatMetrics(metrics: readonly Metric[]): string {
  return metrics.map(formatMetric).join('');
}

function formatMetric({ name, help, type, samples }: Metric): string {
  const full = `twill_${name}${type === 'counter' ? '_total' : ''}`;
  const lines = samples.map(({ value, labels = {} }) => {
    const pairs = Object.entries(labels).map(([label, word]) => `${label}="${word}"`);
    return `${full}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`;
}

/** A metric of one number that goes up and down. */
export function gauge(name: string, help: string, value: number): Metric {
  return { name, help, type: 'gauge', samples: [{ value }] };
}

/** Converts the counters of a data plane. Names with the prefix `dropped_` become one metric, labelled by reason. */
export function dataPlaneMetrics(backend: string, counters: Readonly<Record<string, number>>): Metric[] {
  const drops: Sample[] = [];
  const metrics: Metric[] = [];
  for (const [name, value] of Object.entries(counters)) {
    if (name.startsWith(DROPPED)) drops.push({ value, labels: { reason: name.slice(DROPPED.length) } });
    else {
      const help = `${name.replaceAll('_', ' ')} of the ${backend} data plane.`;
      metrics.push({ name: `${backend}_${name}`, help, type: 'counter', samples: [{ value }] });
    }
  }
  if (drops.length === 0) return metrics;
  const help = `Packets that the ${backend} data plane dropped, by reason.`;
  return [...metrics, { name: `${backend}_dropped_packets`, help, type: 'counter', samples: drops }];
}

const DROPPED = 'dropped_';
