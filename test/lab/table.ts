// Tables of numbers for people, with the target beside each number.

export interface Column {
  readonly title: string;
  /** Default right, for numbers. */
  readonly align?: 'left' | 'right';
}

/** The lines of a table: the titles, then the rows. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? '';
        return align === 'left' ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0);
      })
      .join('   ')
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].map((text) => `  ${text}\n`).join('');
}

/** The value in the middle; of an even count, the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** `312 ms`. */
export function formatMs(ms: number): string {
  return `${Math.round(ms)} ms`;
}

/** `61.3 MiB` of a number of KiB. */
export function formatMemory(kibibytes: number): string {
  return `${(kibibytes / 1_024).toFixed(1)} MiB`;
}

/** The smallest value with at least so many percent at or below it; NaN of none. `sorted` is in rising order. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

/** `6.81 (6.50 to 7.02)`: the median of a few measures, with the lowest and the highest. */
export function formatSpread(values: readonly number[], digits: number): string {
  const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)].map((value) =>
    value.toFixed(digits),
  );
  return `${middle} (${low} to ${high})`;
}

/** `≥ 0.65 met`, or missed. */
export function formatVerdict(target: string, isMet: boolean): string {
  return `${target} ${isMet ? 'met' : 'missed'}`;
}

/** Writes to the standard output. */
export function print(text: string): void {
  process.stdout.write(text);
}
