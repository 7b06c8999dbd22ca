// Puts load between the two containers of a bed, by programs in their namespaces, and gives what the ends saw.
import type { Container } from '../lab/container.ts';
import type { LabProcess } from '../lab/process.ts';
import { holdToProcessors, usableProcessors } from '../lab/processors.ts';
import type { Bed } from './bed.ts';
import { benchProgram } from './measure.ts';

export interface SentDatagrams {
  readonly sent: number;
  /** Not taken by the kernel, as a buffer was full. */
  readonly refused: number;
  readonly tookMs: number;
}

export interface CountedDatagrams {
  /** All that came, duplicates among them. */
  readonly received: number;
  readonly duplicates: number;
  /** Came after one that was sent later. */
  readonly late: number;
  /** From the first to the last. */
  readonly tookMs: number;
}

export interface DatagramLoad {
  readonly sent: SentDatagrams;
  readonly counted: CountedDatagrams;
}

export interface DatagramOptions {
  /** Source ports, and ports that each of them sends to: 8 makes 64 flows. Default 1. */
  readonly spread?: number;
  /** Of the payload; `mixed` is 64 to 1,400. */
  readonly bytes: number | 'mixed';
  /** Datagrams a second; default 0, as many as the machine sends. */
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
 * Round trips of single bytes over TCP, one after the other, in microseconds. `onOwnProcessors`: each host, its agent
 * and its container, is held to a processor of its own, so that one is woken from its sleep once each way, as on two
 * machines. Else the scheduler moves them all over the processors of this one, and wakes one for a packet that never
 * left its host.
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

/** What a stream of pings met. */
export interface PingTimes {
  readonly sent: number;
  /** Round trips in microseconds, in the order of the answers. */
  readonly timesUs: readonly number[];
}

/** Pings of our own over UDP, so many a second whether they are answered or not. */
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
