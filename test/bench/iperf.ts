// TCP load between the two containers of a bed, by iperf3: anyone can run the same command and compare.
import { readFileSync } from 'node:fs';
import type { Container } from '../lab/container.ts';
import type { Bed } from './bed.ts';

/** The figures of the TCP receiver. */
export interface TcpLoad {
  readonly bytes: number;
  readonly tookMs: number;
  /** Processor time of the whole machine during the load. */
  readonly busySeconds: number;
}

const PORT = 5_210;
const START_MS = 10_000;
const SLACK_MS = 20_000;
/** The clock ticks of /proc/stat in a second. */
const TICKS_A_SECOND = 100;

/**
 * Sends over `streams` connections, at full speed or at a fixed number of megabits a second in each. iperf3 takes whole
 * seconds: `forMs` is rounded up.
 */
export async function loadTcp(
  bed: Bed,
  from: Container,
  to: Container,
  streams: number,
  forMs: number,
  megabits = 0,
): Promise<TcpLoad> {
  const seconds = Math.ceil(forMs / 1_000);
  await using server = bed.start(to, [
    'iperf3',
    '--server',
    '--one-off',
    '--port',
    `${PORT}`,
    '--forceflush',
  ]);
  await server.waitForLine(/listening/, START_MS);
  const client = ['iperf3', '--json', '--client', to.address, '--port', `${PORT}`];
  const load = ['--parallel', `${streams}`, '--time', `${seconds}`, '--bitrate', `${megabits}M`];
  const before = busySeconds();
  const text = await from.namespace.run([...client, ...load], { timeoutMs: seconds * 1_000 + SLACK_MS });
  const { end } = JSON.parse(text) as {
    end: { sum_received: { bytes: number; seconds: number } };
  };
  const { bytes, seconds: took } = end.sum_received;
  return { bytes, tookMs: took * 1_000, busySeconds: busySeconds() - before };
}

/** Processor time of the whole machine so far. */
function busySeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_A_SECOND;
}
