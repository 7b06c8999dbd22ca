// Moves bytes over TCP from one container to another: to verify them (a checksum at both ends) or to measure the speed.
import { systemClock } from '../../agent/base/clock.ts';
import type { Container } from './container.ts';
import { labProgram } from './paths.ts';
import { waitFor } from './wait.ts';

/** The figures of one end of a connection. */
export interface TransferReport {
  readonly bytes: number;
  /** Hexadecimal SHA-256 of the bytes; undefined if not wanted. */
  readonly sha256: string | undefined;
  /** Milliseconds from the first byte to the last. */
  readonly tookMs: number;
}

export interface Transfer {
  readonly sent: TransferReport;
  readonly received: TransferReport;
  readonly gigabitsPerSecond: number;
}

const PORT = 5_201;
const LIMIT_MS = 120_000;

/** Sends random bytes and takes a checksum of them at both ends. */
export async function transfer(from: Container, to: Container, bytes: number): Promise<Transfer> {
  return connect(from, to, ['sha256', 'bytes', String(bytes)]);
}

/** Sends at full speed for some milliseconds. There is no checksum, because it would be the bottleneck. */
export async function measureThroughput(from: Container, to: Container, forMs: number): Promise<Transfer> {
  return connect(from, to, ['plain', 'ms', String(forMs)]);
}

// The sender listens and the receiver connects: only a connecting socket of Node reads into a large buffer.
async function connect(from: Container, to: Container, what: readonly string[]): Promise<Transfer> {
  const program = labProgram('transfer-end');
  using stop = aborter();
  const options = { timeoutMs: LIMIT_MS, signal: stop.signal };
  const sending = from.namespace.run([...program, 'send', String(PORT), ...what], options);
  sending.catch(() => undefined);
  await waitFor(`${from.name} listens`, 5_000, async () => {
    await Promise.race([sending, systemClock.sleep(1)]);
    return (await from.namespace.run(['ss', '-Htln', 'sport', '=', `:${PORT}`])).includes(String(PORT));
  });
  const receive = [...program, 'receive', String(PORT), from.address, what[0] ?? ''];
  const received = report(await to.namespace.run(receive, options));
  const sent = report(await sending);
  return { sent, received, gigabitsPerSecond: (received.bytes * 8) / received.tookMs / 1e6 };
}

function report(text: string): TransferReport {
  return JSON.parse(text) as TransferReport;
}

function aborter(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  return { signal: controller.signal, [Symbol.dispose]: () => controller.abort() };
}
