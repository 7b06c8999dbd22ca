// What a command gets from the process that runs it, so that no command touches the process itself.

export interface CommandContext {
  /** Aborted when the process is told to stop. */
  readonly signal: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Version of the program: `0.1.0`. */
  readVersion(): string;
  /** Writes text to standard output; a reader that has gone away is no failure. */
  print(text: string): Promise<void>;
  /** Standard input; may be read once. */
  openInput(): AsyncIterable<Buffer>;
}
