// Puts load between the two containers of a bed, by programs in their namespaces, and reports the figures of both ends.
import type { Container } from '../lab/container.ts';
import type { LabProcess } from '../lab/process.ts';
import { holdToProcessors, usableProcessors } from '../lab/processors.ts';
import type { Bed } from './bed.ts';
import { benchProgram } from './measure.ts';

export interface SentDatagrams {
  readonly sent: number;
  /** Datagrams that the kernel refused because a buffer was full. */
  readonly refused: number;
  readonly tookMs: number;
}

export interface CountedDatagrams {
  /** All received datagrams, with duplicates. */
  readonly received: number;
  readonly duplicates: number;
  /** Datagrams received after one that was sent later. */
  readonly late: number;
  /** Time from the first datagram to the last. */
  readonly tookMs: number;
}

export interface DatagramLoad {
  readonly sent: SentDatagrams;
  readonly counted: CountedDatagrams;
}

export interface DatagramOptions {
  /** Number of source ports, and of destination ports for each of them: 8 makes 64 flows. Default 1. */
  readonly spread?: number;
  /** Bytes of the payload; `mixed` is 64 to 1,400. */
  readonly bytes: number | 'mixed';
  /** Datagrams a second; default 0: as many as the machine can send. */
  readonly rate?: number;
  readonly forMs: number;
}

const PORTS = { echo: 5_220, datagrams: 5_230, pings: 5_250 } as const;
const START_MS = 10_000;
const SLACK_MS = 20_000;

/** Sends datagrams from the first container to the second. */
export async function loadDatagrams(bed: Bed, options: DatagramOptions): Promise<DatagramLoad> {
  const { spread = 1, bytes, rate = 0, forMs } = options;
  const program = benchProgram('datagram-load-end');
  await using counter = bed.start(bed.second, [
    ...program,
    'count',
    ...[PORTS.datagrams, spread].map(String),
  ]);
  await listening(counter);
  const numbers = [PORTS.datagrams, spread, bytes, rate, forMs].map(String);
  const text = await finish(bed.first, [...program, 'send', bed.second.address, ...numbers], forMs);
  await counter.waitForExit(START_MS);
  const counted = (await counter.log()).trim().split('\n').at(-1) ?? '';
  return { sent: JSON.parse(text) as SentDatagrams, counted: JSON.parse(counted) as CountedDatagrams };
}

/**
 * Round trips of single bytes over TCP, one after the other, in microseconds. `onOwnProcessors` pins each host, with
 * its agent and its container, to a processor of its own. Each way then wakes a sleeping processor once, as on two
 * machines. Without it the scheduler moves all of them over all processors, and wakes one for a packet that never left
 * its host.
 */
export async function measureRoundTrips(
  bed: Bed,
  forMs: number,
  onOwnProcessors: boolean,
): Promise<readonly number[]> {
  const program = benchProgram('tcp-echo-end');
  const processors = await usableProcessors();
  const isHeld = onOwnProcessors && processors.length > 1;
  const on = (index: number): readonly string[] =>
    isHeld ? ['taskset', '--cpu-list', String(processors[index])] : [];
  await using _ = await holdToProcessors(isHeld ? bed.agents.map(({ pid }) => [pid]) : []);
  await using answerer = bed.start(bed.second, [...on(1), ...program, 'answer', String(PORTS.echo)]);
  await listening(answerer);
  const ask = ['ask', bed.second.address, ...[PORTS.echo, forMs].map(String)];
  return JSON.parse(await finish(bed.first, [...on(0), ...program, ...ask], forMs)) as number[];
}

/** The result of a stream of pings. */
export interface PingTimes {
  readonly sent: number;
  /** Round trips in microseconds, in the order of the answers. */
  readonly timesUs: readonly number[];
}

/** Sends pings of its own over UDP at a fixed rate, answered or not. */
export async function measurePings(bed: Bed, rate: number, forMs: number): Promise<PingTimes> {
  const program = benchProgram('datagram-echo-end');
  await using answerer = bed.start(bed.second, [...program, 'answer', String(PORTS.pings)]);
  await listening(answerer);
  const ask = ['ask', bed.second.address, ...[PORTS.pings, rate, forMs].map(String)];
  return JSON.parse(await finish(bed.first, [...program, ...ask], forMs)) as PingTimes;
}

async function listening(program: LabProcess): Promise<void> {
  await program.waitForLine(/listening/, START_MS);
}

function finish(container: Container, argv: readonly string[], forMs: number): Promise<string> {
  return container.namespace.run(argv, { timeoutMs: forMs + SLACK_MS });
}
