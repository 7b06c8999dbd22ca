// What an agent said of itself over time: a program in the host's namespace asks it all the time.
import { HEALTHZ_PORT } from './agent-process.ts';
import type { Host } from './host.ts';
import { labProgram } from './paths.ts';
import type { LabProcess } from './process.ts';

const EVERY_MS = 50;
/** An answer that takes this long is told of. */
const SLOW_MS = 100;

export interface HealthLine {
  /** On the wall clock. */
  readonly atMs: number;
  readonly path: '/healthz' | '/readyz';
  /** `200`, `503`, or `none`. */
  readonly status: string;
  readonly tookMs: number;
  /** What was answered, or why there was no answer. */
  readonly text: string;
}

export class HealthWatch {
  readonly #process: LabProcess;

  constructor(host: Host) {
    const argv = [...labProgram('watch-health'), ...[HEALTHZ_PORT, EVERY_MS, SLOW_MS].map(String)];
    this.#process = host.start('health', argv);
  }

  /** The changes of answers, and the slow ones, from then on, in their order. */
  async since(fromMs: number): Promise<HealthLine[]> {
    return (await this.#lines()).filter(({ atMs }) => atMs >= fromMs);
  }

  /** The last answer of that path. */
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
