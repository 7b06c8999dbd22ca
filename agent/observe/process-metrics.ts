// The numbers of this process, as the clients of Prometheus name them.
import { readdirSync, readFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { type Metric, single } from '../model/metrics.ts';

/** Linux counts the time of a process in hundredths of a second, whatever its own clock is. */
const TICK_MS = 10;
/** The place of the start time behind the name of the program, which may hold blanks. */
const START_PLACE = 19;

export function processMetrics(clock: Clock): readonly Metric[] {
  const { user, system } = process.cpuUsage();
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const agoMs = clock.bootMs() - Number(fields[START_PLACE]) * TICK_MS;
  return [
    single('process_cpu_seconds_total', (user + system) / 1_000_000),
    single('process_resident_memory_bytes', process.memoryUsage.rss()),
    single('process_start_time_seconds', Math.round((clock.wallMs() - agoMs) / 1_000)),
    // The folder itself is one of them.
    single('process_open_fds', readdirSync('/proc/self/fd').length - 1),
  ];
}
