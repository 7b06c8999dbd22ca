// Metrics of the parts, and the text that a scrape gets.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { UDP_DROP_REASONS } from '../../../agent/model/metric-families.ts';
import { conditionMetric, Histogram, single, Tally } from '../../../agent/model/metrics.ts';
import { processMetrics } from '../../../agent/observe/process-metrics.ts';
import { formatMetrics } from '../../../agent/observe/prometheus.ts';
import { DROP_REASONS } from '../../../backends/udp/counters.ts';
import { metricsOf } from '../../../backends/udp/metrics.ts';

const numbers = async (...metrics: Parameters<typeof formatMetrics>[0]): Promise<readonly string[]> =>
  (await formatMetrics(metrics)).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('metrics', () => {
  it("metrics are formatted in Prometheus's text format", async () => {
    expect(await formatMetrics([single('twill_ready', 1)])).toBe(
      '# HELP twill_ready Whether /readyz answers 200.\n# TYPE twill_ready gauge\ntwill_ready 1\n',
    );
  });

  it('a family whose labels have known values has a number for each, and a part counts from its own start', async () => {
    const passes = new Tally('result');
    passes.add('failed');
    passes.add('failed');
    expect(await numbers(passes.metric('twill_kernel_passes_total'))).toEqual([
      'twill_kernel_passes_total{result="ok"} 0',
      'twill_kernel_passes_total{result="failed"} 2',
    ]);
    expect(passes.total).toBe(2);
  });

  it('a family with two labels has a number for each pair of values', async () => {
    const changes = new Tally('kind', 'op');
    changes.add('route', 'add');
    const lines = await numbers(changes.metric('twill_kernel_changes_total'));
    expect(lines).toHaveLength(15);
    expect(lines.filter((line) => !line.endsWith(' 0'))).toEqual([
      'twill_kernel_changes_total{kind="route",op="add"} 1',
    ]);
  });

  it('a histogram counts values at most its bounds, all of them, and their sum', async () => {
    const histogram = new Histogram([0.5, 1]);
    for (const value of [0.25, 0.5, 1, 4]) histogram.add(value);
    expect(await numbers(histogram.metric('twill_kernel_pass_duration_seconds'))).toEqual([
      'twill_kernel_pass_duration_seconds_bucket{le="0.5"} 2',
      'twill_kernel_pass_duration_seconds_bucket{le="1"} 3',
      'twill_kernel_pass_duration_seconds_bucket{le="+Inf"} 4',
      'twill_kernel_pass_duration_seconds_sum 5.75',
      'twill_kernel_pass_duration_seconds_count 4',
    ]);
  });

  it('hostile text in a label stays in its label, on its line', async () => {
    const link = 'a"} 1\ntwill_ready 0\\\u202eb\u0000';
    expect(await numbers(single('twill_network_info', 1, { link }))).toEqual([
      'twill_network_info{link="a\\"} 1 twill_ready 0\\\\ b "} 1',
    ]);
  });

  it('two conditions of one part and state are one number', async () => {
    const lease = { part: 'lease', state: 'failing' } as const;
    const lines = await numbers(
      conditionMetric([
        { ...lease, reason: 'one' },
        { ...lease, reason: 'another' },
        { part: 'start', state: 'waiting', reason: 'starting' },
      ]),
    );
    expect(lines.filter((line) => line.endsWith(' 1'))).toEqual([
      'twill_condition{part="lease",state="failing"} 1',
      'twill_condition{part="start",state="waiting"} 1',
    ]);
  });

  it('the udp backend tells packets by direction and drops by reason', async () => {
    const lines = await numbers(...metricsOf({ sent_packets: 7, received_bytes: 9, dropped_stranger: 2 }));
    expect(lines.filter((line) => !line.endsWith(' 0'))).toEqual([
      'twill_udp_packets_total{direction="out"} 7',
      'twill_udp_bytes_total{direction="in"} 9',
      'twill_udp_dropped_packets_total{reason="stranger"} 2',
    ]);
    expect([...UDP_DROP_REASONS]).toEqual([...DROP_REASONS]);
  });

  it('the process tells its age, its memory and its descriptors', () => {
    const values = new Map(
      processMetrics(systemClock).map((metric) => [
        metric.family,
        'samples' in metric ? metric.samples[0]?.value : undefined,
      ]),
    );
    const startMs = systemClock.wallMs() - process.uptime() * 1_000;
    expect(Math.abs((values.get('process_start_time_seconds') ?? 0) - startMs / 1_000)).toBeLessThan(3);
    expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(values.get('process_open_fds')).toBeGreaterThan(2);
    expect(values.get('process_cpu_seconds_total')).toBeGreaterThan(0);
  });
});
