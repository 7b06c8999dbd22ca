// Pings between two containers, and between all.
import type { Container } from './container.ts';
import type { Namespace } from './namespace.ts';
import { mapLimited } from './wait.ts';

export interface PingOptions {
  /** Default 1. */
  readonly count?: number;
  /**
   * Interval between two packets, in milliseconds; default 100. ping waits for the last answer no longer than that or
   * two round trips, so a busy machine loses answers with less.
   */
  readonly everyMs?: number;
  /** Size of the payload, without the 28 bytes of the headers. */
  readonly payloadBytes?: number;
  /** Whether fragmentation of the packet is forbidden. */
  readonly dontFragment?: boolean;
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Average of the received answers; undefined if there are none. */
  readonly averageMs: number | undefined;
  /** The output of ping, for the message of a failed assertion. */
  readonly text: string;
}

/** Command line of a ping that runs until SIGINT and then prints its totals. */
export function pingForever(address: string, everyMs: number): readonly string[] {
  return ['ping', '-n', '-W', '1', '-i', String(everyMs / 1_000), address];
}

/** Pings `address`. A missing answer is a result, not an error. */
export async function ping(from: Namespace, address: string, options: PingOptions = {}): Promise<PingResult> {
  const { count = 1, everyMs = 100, payloadBytes, dontFragment = false } = options;
  const argv = ['ping', '-n', '-W', '1', '-c', String(count), '-i', String(everyMs / 1_000)];
  if (payloadBytes !== undefined) argv.push('-s', String(payloadBytes));
  if (dontFragment) argv.push('-M', 'do');
  const { stdout, stderr } = await from.exec([...argv, address], {
    timeoutMs: 5_000 + count * (everyMs + 10),
  });
  return parsePing(stdout + stderr);
}

/** Parses the totals at the end of ping's output. */
export function parsePing(text: string): PingResult {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
  const average = /= [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  return {
    sent: Number(sent ?? 0),
    received: Number(received ?? 0),
    averageMs: average === undefined ? undefined : Number(average),
    text,
  };
}

const FIRST_TRIES = 5;

async function firstAnswer(from: Container, to: Container): Promise<PingResult> {
  for (let tries = 1; ; tries++) {
    const result = await ping(from.namespace, to.address);
    if (result.received > 0 || tries === FIRST_TRIES) return result;
  }
}

/**
 * Pings from each container to each other one. Rows and columns are in the order of `containers`; the diagonal is
 * undefined. The times exclude the first packets, which wait for ARP and for hosts that have just learnt of each other.
 */
export async function pingMatrix(containers: readonly Container[]): Promise<(PingResult | undefined)[][]> {
  const pairs = containers.flatMap((from) => containers.map((to) => ({ from, to })));
  const results = await mapLimited(pairs, 4, async ({ from, to }) => {
    if (from === to) return undefined;
    const first = await firstAnswer(from, to);
    return first.received === 0 ? first : ping(from.namespace, to.address, { count: 3 });
  });
  return containers.map((_, row) => results.slice(row * containers.length, (row + 1) * containers.length));
}
