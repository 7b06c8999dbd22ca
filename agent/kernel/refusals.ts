// The changes that the kernel refused, each with a pace of its own. Pure: the reconciler tries again what is due.
import type { PeerName } from '../model/condition.ts';
import type { HostObject } from '../model/host-state.ts';
import type { Change, ChangeFailure } from '../model/kernel.ts';
import { LIMITS } from './limits.ts';

/** A refused change. */
export interface Refusal extends ChangeFailure {
  /** The object that the kernel holds instead; undefined: none. */
  readonly held: HostObject | undefined;
  /** The peer that the change is about; undefined: this node. */
  readonly peer: PeerName | undefined;
  readonly attempts: number;
  readonly atMs: number;
  /** When it is tried again. */
  readonly dueMs: number;
  /** From when it is a condition. */
  readonly countsMs: number;
}

/**
 * The refusal of a change that was refused `before` already, or not (undefined). A manager of the network may take an
 * address off the underlay and set it again: the repair of a peer's object is refused in between, which is no fault.
 */
export function refusalOf(
  failure: ChangeFailure,
  { peer, isRepair }: { readonly peer: PeerName | undefined; readonly isRepair: boolean },
  before: Refusal | undefined,
  nowMs: number,
): Refusal {
  const { change } = failure;
  const attempts = (before?.attempts ?? 0) + 1;
  return {
    ...failure,
    held: heldAfter(change),
    peer,
    attempts,
    atMs: nowMs,
    dueMs: dueAfter(attempts, nowMs),
    countsMs: before?.countsMs ?? (isRepair && peer !== undefined ? nowMs + LIMITS.toleratedRepairMs : nowMs),
  };
}

/** What the kernel holds after it refused this change. A route goes even where the one in its place is refused. */
function heldAfter({ op, object, before }: Change): HostObject | undefined {
  if (op === 'delete') return object;
  return before?.kind === 'route' ? undefined : before;
}

/**
 * When a change is tried again that was refused `attempts` times. The times of one pause lie on one grid, so that
 * thousands of refused changes share a pass. Past the longest pause the full passes alone try again.
 */
function dueAfter(attempts: number, nowMs: number): number {
  const { firstMs, maxMs } = LIMITS.refusalBackoff;
  const pauseMs = firstMs * 2 ** Math.min(attempts - 1, 30);
  if (pauseMs > maxMs) return Infinity;
  return Math.ceil((nowMs + pauseMs / 2) / pauseMs) * pauseMs;
}

// No peer causes these, and every other change meets them too.
const OF_THE_NODE: ReadonlySet<string> = new Set([
  'EPERM',
  'EACCES',
  'ENODEV',
  'ENETDOWN',
  'ENOMEM',
  'ENOBUFS',
]);

/** Whether a failure of a peer's object is a fault of this node: a right, a link or memory is missing. */
export function isOfTheNode({ error }: ChangeFailure): boolean {
  return OF_THE_NODE.has(error.errno ?? '');
}

/** The reason for people: the error, and the remedy where one is known. */
export function explain({ change: { object }, error }: ChangeFailure): string {
  const isGateway = object.kind === 'route' && object.via !== undefined && !object.onlink;
  if (!isGateway || !OFF_LINK.has(error.errno ?? '')) return error.message;
  return `${error.message}: ${object.via} is not on the link of ${object.dev}: host-gw needs all hosts on one link`;
}

const OFF_LINK: ReadonlySet<string> = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL']);
