import { describe, expect, it } from 'vitest';
import { dataPlaneMetrics, formatMetrics, gauge } from '../../../agent/observe/metrics.ts';

describe('metrics', () => {
  it("metrics are formatted in Prometheus's text format", () => {
    expect(formatMetrics([gauge('ready', 'Whether it is.', 1)])).toBe(
      '# HELP twill_ready Whether it is.\n# TYPE twill_ready gauge\ntwill_ready 1\n',
    );
  });

  it('data plane metrics are named after its counters, and drops are labelled by reason', () => {
    const text = formatMetrics(
      dataPlaneMetrics('udp', { sent_packets: 7, dropped_stranger: 2, dropped_short: 0 }),
    );
    expect(text.split('\n').filter((line) => !line.startsWith('#'))).toEqual([
      'twill_udp_sent_packets_total 7',
      'twill_udp_dropped_packets_total{reason="stranger"} 2',
      'twill_udp_dropped_packets_total{reason="short"} 0',
      '',
    ]);
  });
});
