// The numbers of the reconciler.
import type { HostObject } from '../model/host-state.ts';
import type { Change, ChangeFailure } from '../model/kernel.ts';
import { Histogram, type Metric, Tally } from '../model/metrics.ts';

const BOUNDS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const OPERATIONS: Readonly<Record<Change['op'], string>> = {
  add: 'add',
  replace: 'change',
  alter: 'change',
  delete: 'delete',
};

export class KernelNumbers {
  readonly #passes = new Tally('result');
  readonly #durations = new Histogram(BOUNDS_SECONDS);
  readonly #changes = new Tally('kind', 'op');
  readonly #refusals = new Tally('kind');

  /** A pass wrote these changes, but for the failures. */
  passed(changes: readonly Change[], failures: readonly ChangeFailure[], tookMs: number): void {
    this.#passes.add('ok');
    this.#durations.add(tookMs / 1_000);
    const refused = new Set(failures.map(({ change }) => change));
    for (const change of changes)
      if (!refused.has(change)) this.#changes.add(change.object.kind, OPERATIONS[change.op]);
    for (const { object } of refused) this.#refusals.add(object.kind);
  }

  /** A pass could not read or write anything. */
  failed(tookMs: number): void {
    this.#passes.add('failed');
    this.#durations.add(tookMs / 1_000);
  }

  metrics(wanted: Iterable<HostObject>): readonly Metric[] {
    const objects = new Tally('kind');
    for (const { kind } of wanted) objects.add(kind);
    return [
      this.#passes.metric('twill_kernel_passes_total'),
      this.#durations.metric('twill_kernel_pass_duration_seconds'),
      this.#changes.metric('twill_kernel_changes_total'),
      this.#refusals.metric('twill_kernel_refusals_total'),
      objects.metric('twill_kernel_objects'),
    ];
  }
}
