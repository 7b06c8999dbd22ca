// A row of the table of faults, and its measurement. Packets flow all the time. The fault breaks something. Its healing
// time ends when packets flow again and every kernel matches the leases.
import { systemClock } from '../../agent/base/clock.ts';
import { messageOf } from '../../agent/base/errors.ts';
import { type BedKind, type FaultBed, waitUntilRight } from './bed.ts';
import type { BackendName } from './owned-state.ts';

/** A measure of a row beside the healing time. */
export interface Note {
  /** One line. */
  readonly text: string;
  /** Whether it meets the requirement. */
  readonly isMet: boolean;
}

/** Further checks and clean-up of a fault that has happened. */
export interface Injected {
  /** A further condition for it to be healed: one line about what is still wrong. */
  readonly wrong?: () => Promise<string | undefined>;
  /** A measure beside the healing time. */
  readonly note?: () => Promise<Note>;
  /** Removes the leftovers of the fault after its measurement, healed or not. */
  readonly undo?: () => Promise<void>;
}

/** One row of the table. */
export interface Fault {
  /** The event, as a part of a sentence. */
  readonly name: string;
  readonly backends: readonly BackendName[];
  /** From the end of the injection until everything is right again. */
  readonly requiredMs: number;
  /** Default `usual`. */
  readonly bed?: BedKind;
  /**
   * Requirement for the ping between the containers. `heals` (default): it may stop, and must flow again. `flows`: it
   * loses nothing. `ends`: it is not checked, because its destination has moved.
   */
  readonly traffic?: 'heals' | 'flows' | 'ends';
  /** Whether hosts may have other subnets afterwards, so that the next fault needs a new bed; default false. */
  readonly mayMove?: boolean;
  /** Whether the agent itself is stopped or frozen, so that it cannot answer /healthz; default false. */
  readonly hitsAgent?: boolean;
  /** Whether it lasts. Then /readyz of the first host must report it within ten seconds. Default false. */
  readonly lasts?: boolean;
  /** Whether it takes so long that tests run such rows in parallel; default false. */
  readonly isSlow?: boolean;
  /** Breaks something. The time until it resolves is not part of the healing time. */
  readonly inject: (bed: FaultBed) => Promise<Injected | void>;
}

export interface FaultMeasure {
  /** From the end of the injection until everything was right. */
  readonly healedMs: number;
  /** Packets of the ping that were not answered. */
  readonly lost: number;
  /** The further measure of the row. */
  readonly note: Note | undefined;
}

const UNREADY_LIMIT_MS = 10_000;
const READY_LIMIT_MS = 10_000;

/** Injects a fault and measures its healing. Throws with the first requirement that was not met within `limitMs`. */
export async function measureFault(bed: FaultBed, fault: Fault, limitMs: number): Promise<FaultMeasure> {
  await bed.settle();
  const numbers = bed.cluster.hosts.map((_, index) => index + 1);
  const subnets = async (): Promise<string> => {
    return (await Promise.all(numbers.map((number) => bed.subnetOf(number)))).join(' ');
  };
  const subnetsBefore = await subnets();
  await using stream = bed.startStream();
  await stream.flows();
  const startedMs = systemClock.wallMs();
  const injected = (await fault.inject(bed)) ?? {};
  const injectedMs = systemClock.wallMs();
  try {
    const rightMs = await waitUntilRight(
      limitMs,
      async () => (await injected.wrong?.()) ?? (await bed.wrong()),
    );
    let flowsMs = 0;
    if (fault.traffic !== 'ends') {
      await stream.flows(limitMs);
      flowsMs = (await stream.lastLossEndedMs()) ?? 0;
    }
    const lost = await stream.lost();
    if (fault.traffic === 'flows' && lost > 0) throw new Error(`${lost} packets were lost`);
    const subnetsAfter = await subnets();
    if (fault.mayMove !== true && subnetsAfter !== subnetsBefore)
      throw new Error(`the subnets were ${subnetsBefore} and are ${subnetsAfter}`);
    await bed.waitReady(READY_LIMIT_MS);
    await checkHealth(bed, fault, startedMs);
    const note = await injected.note?.();
    return { healedMs: Math.max(rightMs, flowsMs, injectedMs) - injectedMs, lost, note };
  } finally {
    await injected.undo?.();
  }
}

async function checkHealth(bed: FaultBed, fault: Fault, startedMs: number): Promise<void> {
  for (const [index, watch] of bed.health.entries()) {
    const lines = await watch.since(startedMs);
    const ill = lines.find(({ path, status }) => path === '/healthz' && status !== '200');
    if (ill !== undefined && fault.hitsAgent !== true)
      throw new Error(`h${index + 1}: /healthz: ${ill.status} ${ill.text}`);
    if (fault.lasts !== true || index > 0) continue;
    const told = lines.find(({ path, status }) => path === '/readyz' && status === '503');
    if (told === undefined) throw new Error('/readyz never said that anything was wrong');
    if (told.atMs - startedMs > UNREADY_LIMIT_MS)
      throw new Error(
        `/readyz said that something was wrong after ${told.atMs - startedMs} ms only: ${told.text}`,
      );
  }
}

/** A fault by commands on the first host, one a line. */
export function commands(...lines: readonly string[]): Fault['inject'] {
  return async (bed) => {
    for (const line of lines) await bed.h1.run((await fill(bed, line)).split(' '));
  };
}

// DEV stands for the overlay's device, SUBNET for the second host's subnet, MAC for the address of its device.
async function fill(bed: FaultBed, line: string): Promise<string> {
  const { subnet, vtepMac = '' } = await bed.leaseOf(2);
  return line.replace('DEV', bed.device).replace('SUBNET', subnet).replace('MAC', vtepMac);
}

/** The first line of an error. */
export function reasonOf(error: unknown): string {
  return messageOf(error).split('\n')[0] ?? '';
}
