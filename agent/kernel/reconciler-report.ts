// The reconciler in words: its conditions, its log lines, and its count of repairs.
import type { Logger } from '../base/log.ts';
import type { Condition, PeerCondition, PeerName } from '../model/condition.ts';
import { formatObject, type HostObject, keyOf } from '../model/host-state.ts';
import type { Change } from '../model/kernel.ts';
import { type Metric, Tally } from '../model/metrics.ts';
import type { Repair } from '../model/status.ts';
import { formatChange } from './diff.ts';
import type { Fights, NamedFight } from './fights.ts';
import type { Ledger } from './ledger.ts';
import { LIMITS } from './limits.ts';
import { explain } from './refusals.ts';

interface Fault {
  readonly peer: PeerName | undefined;
  readonly say: () => string;
}

const NO_PEERS: readonly PeerCondition[] = [];

export class ReconcilerReport {
  readonly #log: Logger;
  /** Undefined: there is no condition about the node. */
  #own: Condition | undefined = kernelCondition('waiting', 'the host state has not been applied yet');
  #peers = NO_PEERS;
  #hadDamped = false;
  readonly #repaired = new Tally('kind');
  readonly #repairs: Repair[] = [];
  /** The errors about the node that were logged and still stand. */
  readonly #logged = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  get drift(): number {
    return this.#repaired.total;
  }

  /** The objects that were repaired since the start. */
  metric(): Metric {
    return this.#repaired.metric('twill_repaired_objects_total');
  }

  /** The last repairs, oldest first. */
  get repairs(): readonly Repair[] {
    return this.#repairs;
  }

  conditions(): readonly Condition[] {
    return this.#own === undefined ? [] : [this.#own];
  }

  peerConditions(): readonly PeerCondition[] {
    return this.#peers;
  }

  /** Nothing could be read or written. */
  fail(reason: string, nowMs: number): void {
    this.#own = this.#failing(reason, nowMs);
    this.#log.error(reason);
  }

  repaired(changes: readonly Change[], fights: Fights, nowMs: number): void {
    for (const { object } of changes) this.#repaired.add(object.kind);
    for (const change of changes.slice(-LIMITS.keptRepairs))
      this.#repairs.push({ atMs: nowMs, change: formatChange(change) });
    this.#repairs.splice(0, this.#repairs.length - LIMITS.keptRepairs);
    const [first] = changes;
    if (first === undefined || changes.some(({ object }) => fights.isNamed(keyOf(object)))) return;
    this.#log.warn('repaired what somebody else had changed', {
      objects: changes.length,
      first: formatChange(first),
    });
  }

  /** A pass is over. `isChanged`: the refused changes may be others than before it. */
  passed(
    { refused, fights, wanted }: Ledger,
    peerOf: (key: string) => PeerName | undefined,
    isChanged: boolean,
    nowMs: number,
  ): void {
    const say = (fight: NamedFight): string => describeFight(fight, wanted.get(fight.key));
    for (const fight of fights.news()) this.#log.warn(say(fight));
    for (const key of fights.expire(nowMs)) this.#log.info(`no program undoes our work on ${key} any more`);
    const faults: Fault[] = [];
    for (const refusal of refused.values())
      if (refusal.countsMs <= nowMs) faults.push({ peer: refusal.peer, say: () => explain(refusal) });
    const damped = fights.damped();
    for (const fight of damped) {
      const reason = `${say(fight)}; it is repaired less and less often`;
      faults.push({ peer: peerOf(fight.key), say: () => reason });
    }
    this.#setOwn(
      faults.filter(({ peer }) => peer === undefined).map((fault) => fault.say()),
      nowMs,
    );
    if (isChanged || damped.length > 0 || this.#hadDamped) this.#setPeers(faults);
    this.#hadDamped = damped.length > 0;
  }

  #setPeers(faults: readonly Fault[]): void {
    const peers = new Map<string, PeerCondition>();
    for (const { peer, say } of faults) {
      if (peer === undefined) continue;
      const id = `${peer.subnet} ${peer.publicIP}`;
      if (peers.has(id)) continue;
      peers.set(id, { ...kernelCondition('failing', say()), peer });
    }
    this.#peers = peers.size === 0 ? NO_PEERS : [...peers.values()];
  }

  #failing(reason: string, nowMs: number): Condition {
    const sinceMs = this.#own?.state === 'failing' ? this.#own.sinceMs : nowMs;
    return { ...kernelCondition('failing', reason), sinceMs };
  }

  #setOwn(reasons: readonly string[], nowMs: number): void {
    const [first] = reasons;
    if (first === undefined) {
      if (this.#own?.state === 'failing') this.#log.info('the kernel is as it should be again');
      this.#own = undefined;
      this.#logged.clear();
      return;
    }
    const rest = reasons.length === 1 ? '' : `, and ${reasons.length - 1} more`;
    this.#own = this.#failing(`${first}${rest}`, nowMs);
    const fresh = reasons.filter((reason) => !this.#logged.has(reason));
    for (const reason of fresh.slice(0, LIMITS.reportedFailures)) {
      this.#logged.add(reason);
      this.#log.error(reason);
    }
    if (fresh.length > LIMITS.reportedFailures)
      this.#log.error('the kernel refused more', { changes: reasons.length });
  }
}

function kernelCondition(state: Condition['state'], reason: string): Condition {
  return { part: 'kernel', state, reason };
}

function describeFight({ key, changedTo }: NamedFight, wanted: HostObject | undefined): string {
  const what = wanted === undefined ? key : formatObject(wanted);
  const became =
    changedTo === undefined
      ? 'it is deleted'
      : wanted === undefined
        ? 'it is made'
        : `it becomes ${changedTo}`;
  return `another program undoes our work on ${what} again and again: ${became}`;
}
