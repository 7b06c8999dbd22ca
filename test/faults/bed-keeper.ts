// Faults share a bed, because making one is expensive. A bed that a fault has left broken is not used again.
import { type FaultBed, openFaultBed } from './bed.ts';
import { type Fault, type FaultMeasure, measureFault } from './fault.ts';
import type { FaultGroup } from './table.ts';

export class BedKeeper implements AsyncDisposable {
  readonly #group: Omit<FaultGroup, 'faults'>;
  #bed: FaultBed | undefined;

  constructor(group: Omit<FaultGroup, 'faults'>) {
    this.#group = group;
  }

  /**
   * Measures a fault on the bed. Makes a bed if there is none, and removes it if the fault did not leave it as before.
   */
  async measure(fault: Fault, limitMs: number): Promise<FaultMeasure> {
    this.#bed ??= await openFaultBed(this.#group.backend, this.#group.kind);
    let isWhole = false;
    try {
      const measure = await measureFault(this.#bed, fault, limitMs);
      isWhole = fault.mayMove !== true;
      return measure;
    } finally {
      if (!isWhole) await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bed?.[Symbol.asyncDispose]();
    this.#bed = undefined;
  }
}
