// The answers of an agent's health endpoints over time. A program in the host's namespace asks all the time.
import { HEALTHZ_PORT } from './agent-process.ts';
import type { Host } from './host.ts';
import { labProgram } from './paths.ts';
import type { LabProcess } from './process.ts';

const EVERY_MS = 50;
/** The program reports an answer that takes this long. */
const SLOW_MS = 100;

export interface HealthLine {
  /** Time of the answer, on the wall clock. */
  readonly atMs: number;
  readonly path: '/healthz' | '/readyz';
  /** `200`, `503`, or `none`. */
  readonly status: string;
  readonly tookMs: number;
  /** The answer, or the reason why there was none. */
  readonly text: string;
}

export class HealthWatch {
  readonly #process: LabProcess;

  constructor(host: Host) {
    const argv = [...labProgram('watch-health'), ...[HEALTHZ_PORT, EVERY_MS, SLOW_MS].map(String)];
    this.#process = host.start('health', argv);
  }

  /** The changed answers and the slow ones since `fromMs`, in order. */
  async since(fromMs: number): Promise<HealthLine[]> {
    return (await this.#lines()).filter(({ atMs }) => atMs >= fromMs);
  }

  /** The last line of that path. */
  async last(path: HealthLine['path']): Promise<HealthLine | undefined> {
    return (await this.#lines()).findLast((line) => line.path === path);
  }

  async #lines(): Promise<HealthLine[]> {
    const text = await this.#process.log();
    return [...text.matchAll(/^(\d+) (\/\w+) (\w+) (\d+) (.*)\n/gm)].map(
      ([, atMs, path, status = '', tookMs, said = '']) => ({
        atMs: Number(atMs),
        path: path as HealthLine['path'],
        status,
        tookMs: Number(tookMs),
        text: said,
      }),
    );
  }
}
