// A program of a lab that runs until it is stopped: an agent, a datastore, the holder of a namespace. It writes into a
// file and has no terminal, so it can outlive the process that started it.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../agent/base/clock.ts';
import { waitFor } from './wait.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from the signal to the end. */
  readonly tookMs: number;
}

export class LabProcess {
  readonly logPath: string;
  readonly pid: number;
  /** Its start, in milliseconds of the machine's monotonic clock. */
  readonly startedMs: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<Omit<Exit, 'tookMs'>>;

  /** Starts `argv`; its output is appended to `logPath`. */
  constructor(
    argv: readonly [string, ...string[]],
    logPath: string,
    env: Readonly<Record<string, string>> = {},
  ) {
    const [file, ...args] = argv;
    const log = openSync(logPath, 'a');
    this.logPath = logPath;
    this.startedMs = monotonicMs();
    this.#child = spawn(file, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    // The error reaches every waiter. Without a waiter it must not end this process.
    this.#exited.catch(() => undefined);
    this.#child.unref();
    this.pid = this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.pid !== 0 && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Its output so far. */
  async log(): Promise<string> {
    return readFile(this.logPath, 'utf8');
  }

  /** The first matching line of its output, past or future. */
  async waitForLine(pattern: RegExp, timeoutMs: number): Promise<string> {
    return waitFor(`a line ${pattern} in ${this.logPath}`, timeoutMs, async () => {
      const line = (await this.log()).split('\n').find((text) => pattern.test(text));
      if (line === undefined && !this.isRunning) throw new Error(await this.epitaph());
      return line;
    });
  }

  /** Waits for its end; throws after `timeoutMs`. */
  async waitForExit(timeoutMs: number): Promise<Exit> {
    const from = systemClock.monotonicMs();
    this.#child.ref();
    const limit = new AbortController();
    const late = systemClock.sleep(timeoutMs, limit.signal).then(() => {
      throw new Error(`process ${this.pid} has not ended within ${timeoutMs} ms (${this.logPath})`);
    });
    try {
      const exit = await Promise.race([this.#exited, late]);
      return { ...exit, tookMs: systemClock.monotonicMs() - from };
    } finally {
      late.catch(() => undefined);
      limit.abort();
      this.#child.unref();
    }
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 5_000): Promise<Exit> {
    if (this.isRunning) process.kill(this.pid, signal);
    return this.waitForExit(timeoutMs);
  }

  /** One line for an error: that it has ended, and its last output. */
  async epitaph(): Promise<string> {
    const lines = (await this.log()).trim().split('\n');
    return `process ${this.pid} has ended: ${lines.at(-1) || 'it printed nothing'} (${this.logPath})`;
  }
}

/** Milliseconds on the monotonic clock, which all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
