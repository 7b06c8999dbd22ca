// An agent that runs on a host of the lab.
import type { Namespace } from './namespace.ts';
import { labProgram } from './paths.ts';
import type { Exit, LabProcess } from './process.ts';

/** The port of /readyz for agents of a lab, each in its own namespace. */
export const HEALTHZ_PORT: number = 8471;

export class AgentProcess {
  readonly process: LabProcess;
  readonly #namespace: Namespace;

  constructor(namespace: Namespace, process: LabProcess) {
    this.#namespace = namespace;
    this.process = process;
  }

  get pid(): number {
    return this.process.pid;
  }

  get logPath(): string {
    return this.process.logPath;
  }

  log(): Promise<string> {
    return this.process.log();
  }

  waitForLine(pattern: RegExp, timeoutMs = 10_000): Promise<string> {
    return this.process.waitForLine(pattern, timeoutMs);
  }

  /** Waits until /readyz answers 200. Needs `--healthz-port` with the lab's port. */
  async waitReady(timeoutMs = 10_000): Promise<void> {
    const argv = [...labProgram('await-ready'), String(HEALTHZ_PORT), String(timeoutMs), '5'];
    const { exitCode, stderr } = await this.#namespace.exec(argv, { timeoutMs: timeoutMs + 5_000 });
    if (exitCode !== 0) {
      const state = this.process.isRunning ? (await this.log()).slice(-2_000) : await this.process.epitaph();
      throw new Error(`agent is not ready: ${stderr.trim()}\n${state}`);
    }
  }

  stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 5_000): Promise<Exit> {
    return this.process.stop(signal, timeoutMs);
  }
}
