// A ping that goes on while something happens, and afterwards says when packets were lost and since when they flow.
import { systemClock } from '../../agent/base/clock.ts';
import type { Container } from './container.ts';
import { pingForever } from './ping.ts';
import { LabProcess } from './process.ts';
import { waitFor } from './wait.ts';

const PING_EVERY_MS = 10;
/** Answers in a row that show that packets flow. */
const ROW = 10;
const FLOW_MS = 10_000;

export interface Answer {
  /** Number of the packet, from 1. */
  readonly number: number;
  /** When the answer came, on the wall clock, in milliseconds. */
  readonly atMs: number;
}

export class PingStream implements AsyncDisposable {
  readonly #process: LabProcess;

  constructor(from: Container, to: Container, logPath: string) {
    const [program = '', ...rest] = pingForever(to.address, PING_EVERY_MS);
    this.#process = new LabProcess(from.namespace.command([program, '-D', ...rest]), logPath);
  }

  /** Waits for a row of answers that came after now. */
  async flows(timeoutMs: number = FLOW_MS): Promise<void> {
    const fromMs = systemClock.wallMs();
    await waitFor('packets flow', timeoutMs, async () => {
      const row = (await this.#answers()).filter(({ atMs }) => atMs >= fromMs).slice(-ROW);
      return row.length === ROW && isUnbroken(row);
    });
  }

  /** When the last loss so far ended, on the wall clock; undefined: nothing was lost. Call it while packets flow. */
  async lastLossEndedMs(): Promise<number | undefined> {
    const answers = await this.#answers();
    return answers.findLast(({ number }, index) => index > 0 && answers[index - 1]?.number !== number - 1)
      ?.atMs;
  }

  /** Packets without an answer, before the last one that was answered. */
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

/** Reads the answers that `ping -D` prints, in the order of the packets. */
export function parseAnswers(text: string): Answer[] {
  return [...text.matchAll(/^\[([\d.]+)\] .*icmp_seq=(\d+) ttl=/gm)]
    .map(([, seconds, number]) => ({ number: Number(number), atMs: Number(seconds) * 1_000 }))
    .sort((a, b) => a.number - b.number);
}

function isUnbroken(row: readonly Answer[]): boolean {
  return row.every(({ number }, index) => index === 0 || row[index - 1]?.number === number - 1);
}
