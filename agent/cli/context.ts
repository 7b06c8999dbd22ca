// The process as a command sees it, so that no command touches the real one.

export interface CommandContext {
  /** Aborted when the process is told to stop. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Version of the program: `0.1.0`. */
  readVersion(): string;
  /** Writes text to standard output. A closed pipe is no failure. */
  print(text: string): Promise<void>;
  /** Standard input. May be read once. */
  openInput(): AsyncIterable<Buffer>;
}
