// Tells people of peers that cannot be reached: once when it begins or has another reason, once when it is over.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/printable.ts';
import type { PeerCondition, PeerName } from '../model/condition.ts';
import { LIMITS } from './limits.ts';

export class PeerFaults {
  readonly #log: Logger;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #now: readonly (readonly PeerCondition[])[] = [];
  #told = new Map<string, PeerCondition>();
  #strangers = 0;

  constructor(log: Logger, clock: Pick<Clock, 'monotonicMs'>) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Takes the faults as they are now, from all sources. A source that gives the same list again costs nothing. */
  update(...sources: readonly (readonly PeerCondition[])[]): void {
    if (sources.every((source, place) => source === this.#now[place])) return;
    this.#now = sources;
    const nowMs = this.#clock.monotonicMs();
    const begun = (fault: PeerCondition): PeerCondition => {
      const before = this.#told.get(idOf(fault.peer));
      return { ...fault, sinceMs: before === undefined ? nowMs : before.sinceMs };
    };
    const now = new Map(sources.flat().map((fault) => [idOf(fault.peer), begun(fault)]));
    const fresh = [...now].filter(([id, { reason }]) => this.#told.get(id)?.reason !== reason);
    const over = [...this.#told].filter(([id]) => !now.has(id));
    const tell = (lines: readonly string[], level: 'warn' | 'info', rest: string): void => {
      for (const line of lines.slice(0, LIMITS.reportedPeers)) this.#log[level](line);
      const more = lines.length - LIMITS.reportedPeers;
      if (more > 0) this.#log[level](rest, { peers: more });
    };
    tell(
      fresh.map(([, { peer, reason }]) => `${describe(peer)} is not reached: ${reason}`),
      'warn',
      'more peers are not reached',
    );
    tell(
      over.map(([, { peer }]) => `the fault of ${describe(peer)} is over`),
      'info',
      'the faults of more peers are over',
    );
    this.#told = now;
  }

  /** Takes the number of nodes that use another backend than ours, of this type. */
  countStrangers(strangers: number, type: string): void {
    if (strangers > this.#strangers)
      this.#log.warn(`nodes that use another backend than ${type} are not reached`, { nodes: strangers });
    this.#strangers = strangers;
  }

  /** A condition for each peer that is not reached. */
  conditions(): readonly PeerCondition[] {
    return [...this.#told.values()];
  }

  /** Nodes that use another backend than ours. */
  get strangers(): number {
    return this.#strangers;
  }

  get count(): number {
    return this.#told.size;
  }
}

function idOf({ subnet, publicIP }: PeerName): string {
  return `${subnet} ${publicIP}`;
}

function describe({ subnet, publicIP, name }: PeerName): string {
  return `peer ${name === undefined ? '' : `${printable(name)} `}${publicIP} with ${subnet}`;
}
