// What a part tells of itself in numbers. A part keeps plain numbers while it works, and makes metrics of them only
// when somebody asks. `metric-families.ts` says what each family means.
import type { Condition } from './condition.ts';
import type { FamilyName } from './metric-families.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly value: number;
  readonly labels?: Labels;
}

/** The numbers of one family. A part gives each family once. */
export type Metric = SampledMetric | DistributedMetric;

export interface SampledMetric {
  readonly family: FamilyName;
  readonly samples: readonly Sample[];
}

export interface DistributedMetric {
  readonly family: FamilyName;
  readonly distribution: Distribution;
}

export interface Distribution {
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[];
  /** How many values are at most each bound, and how many there are in all. */
  readonly atMost: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** A family of one number. */
export function single(family: FamilyName, value: number, labels: Labels = {}): Metric {
  return { family, samples: [{ value, labels }] };
}

/** The conditions that hold now. */
export function conditionMetric(conditions: readonly Condition[]): Metric {
  const states = new Map(conditions.map(({ part, state }) => [`${part}\n${state}`, { part, state }]));
  return { family: 'twill_condition', samples: [...states.values()].map((labels) => ({ value: 1, labels })) };
}

/** Counts by the values of some labels. */
export class Tally {
  readonly #names: readonly string[];
  readonly #counts = new Map<string, number>();

  /** The names of the labels, none of whose values has a line end. */
  constructor(...names: readonly string[]) {
    this.#names = names;
  }

  /** Counts one. `values`: of the labels, in the order of their names. */
  add(...values: readonly string[]): void {
    const key = values.join('\n');
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }

  metric(family: FamilyName): Metric {
    const samples = [...this.#counts].map(([key, value]) => {
      const values = key.split('\n');
      return { value, labels: Object.fromEntries(this.#names.map((name, i) => [name, values[i] ?? ''])) };
    });
    return { family, samples };
  }
}

/** Counts values by size. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** How many values lie between each bound and the one before; the last place is for those above all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = [...bounds, Infinity].map(() => 0);
  }

  add(value: number): void {
    const place = this.#bounds.findIndex((bound) => value <= bound);
    const index = place < 0 ? this.#bounds.length : place;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }

  metric(family: FamilyName): Metric {
    let count = 0;
    const sums = this.#counts.map((number) => (count += number));
    const atMost = sums.slice(0, -1);
    return { family, distribution: { bounds: this.#bounds, atMost, count, sum: this.#sum } };
  }
}
