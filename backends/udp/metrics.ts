// The counters of the data plane as metrics. The others are for tests and benchmarks.
import type { Metric } from '../../agent/model/metrics.ts';
import { DROP_REASONS } from './counters.ts';

/** `counters`: by their names; one that is missing is 0. */
export function metricsOf(counters: Readonly<Record<string, number>>): readonly Metric[] {
  const count = (name: string): number => counters[name] ?? 0;
  const directions = (unit: 'packets' | 'bytes') => [
    { value: count(`received_${unit}`), labels: { direction: 'in' } },
    { value: count(`sent_${unit}`), labels: { direction: 'out' } },
  ];
  const drops = DROP_REASONS.map((reason) => ({ value: count(`dropped_${reason}`), labels: { reason } }));
  return [
    { family: 'twill_udp_packets_total', samples: directions('packets') },
    { family: 'twill_udp_bytes_total', samples: directions('bytes') },
    { family: 'twill_udp_dropped_packets_total', samples: drops },
  ];
}
