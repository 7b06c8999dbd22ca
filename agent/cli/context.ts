// The process as a command sees it, so that no command touches the real one.

import type { Line } from '../base/terminal.ts';

/** A terminal at standard output. */
export interface Terminal {
  readonly columns: number;
  draw(
    lines: readonly Line[],
    options: { readonly clears: boolean; readonly colours: boolean },
  ): Promise<void>;
}

export interface CommandContext {
  /** Aborted when the process is told to stop. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Version of the program: `0.1.0`. */
  readVersion(): string;
  /** Writes text to standard output. A closed pipe is no failure. */
  print(text: string): Promise<void>;
  /** Undefined: standard output is no terminal. */
  readonly terminal?: Terminal | undefined;
  /** Standard input. May be read once. */
  openInput(): AsyncIterable<Buffer>;
}
