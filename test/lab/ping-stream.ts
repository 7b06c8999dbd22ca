// A ping that runs during a fault. Afterwards it tells when packets were lost and since when they flow again.
import { systemClock } from '../../agent/base/clock.ts';
import type { Container } from './container.ts';
import { pingForever } from './ping.ts';
import { LabProcess } from './process.ts';
import { waitFor } from './wait.ts';

const PING_EVERY_MS = 10;
/** Consecutive answers that show that packets flow. */
const ROW = 10;
const FLOW_MS = 10_000;

export interface Answer {
  /** Sequence number of the packet, from 1. */
  readonly number: number;
  /** Arrival of the answer, in milliseconds of the wall clock. */
  readonly atMs: number;
}

export class PingStream implements AsyncDisposable {
  readonly #process: LabProcess;

  /** `everyMs`: the interval between two packets, in milliseconds. */
  constructor(from: Container, to: Container, logPath: string, everyMs = PING_EVERY_MS) {
    const [program = '', ...rest] = pingForever(to.address, everyMs);
    this.#process = new LabProcess(from.namespace.command([program, '-D', ...rest]), logPath);
  }

  /** Waits for consecutive answers that arrive after the call. */
  async flows(timeoutMs: number = FLOW_MS): Promise<void> {
    const fromMs = systemClock.wallMs();
    await waitFor('packets flow', timeoutMs, async () => {
      const row = (await this.#answers()).filter(({ atMs }) => atMs >= fromMs).slice(-ROW);
      return row.length === ROW && isUnbroken(row);
    });
  }

  /** Waits until so many packets are answered, from the first on. */
  async counts(packets: number, timeoutMs: number = FLOW_MS): Promise<void> {
    await waitFor(
      `${packets} packets are answered`,
      timeoutMs,
      async () => (await this.#answers()).length >= packets,
    );
  }

  /** End of the last loss so far, on the wall clock; undefined: no loss. Call it while packets flow. */
  async lastLossEndedMs(): Promise<number | undefined> {
    const answers = await this.#answers();
    return answers.findLast(({ number }, index) => index > 0 && answers[index - 1]?.number !== number - 1)
      ?.atMs;
  }

  /** Number of packets without an answer, before the last answered one. */
  async lost(): Promise<number> {
    const answers = await this.#answers();
    return (answers.at(-1)?.number ?? 0) - new Set(answers.map(({ number }) => number)).size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.isRunning) await this.#process.stop('SIGKILL');
  }

  async #answers(): Promise<Answer[]> {
    return parseAnswers(await this.#process.log());
  }
}

/** Parses the answers of `ping -D`, in the order of the packets. */
export function parseAnswers(text: string): Answer[] {
  return [...text.matchAll(/^\[([\d.]+)\] .*icmp_seq=(\d+) ttl=/gm)]
    .map(([, seconds, number]) => ({ number: Number(number), atMs: Number(seconds) * 1_000 }))
    .sort((a, b) => a.number - b.number);
}

function isUnbroken(row: readonly Answer[]): boolean {
  return row.every(({ number }, index) => index === 0 || row[index - 1]?.number === number - 1);
}
