// The parts that make a machine the one that it is: machine id, card, host name and address. Each can change by itself,
// and two machines can share some of them. A lease names its writer by them.
import type { HostFacts } from '../../agent/model/host-facts.ts';
import type { NodeIdentity } from '../../agent/model/lease.ts';
import { hostFacts } from '../support/build.ts';

export class Machine {
  /** Called at each change. */
  readonly listeners = new Set<() => void>();
  /** The time of the last change of identity or address. */
  changedMs = 0;
  readonly #nowMs: () => number;
  /** All that it ever had. A machine without a card has a machine id of its own, one with a card a card of its own. */
  readonly #cards = new Set<string>();
  readonly #ids = new Set<string>();
  #facts: HostFacts;

  constructor(node: NodeIdentity, address: string, onLink: string, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#facts = { ...hostFacts({ address, onLink: [onLink] }), node };
    this.#remember();
  }

  get facts(): HostFacts {
    return this.#facts;
  }

  /** The machine's address on the underlay. */
  get address(): string {
    return this.#facts.ends.ipv4?.address ?? '';
  }

  /** Whether a lease with this identity is of this machine, as it is or as it was. */
  isWriter(node: NodeIdentity | undefined): boolean {
    if (node === undefined) return false;
    return node.mac === undefined ? this.#ids.has(node.id) : this.#cards.has(node.mac);
  }

  /** Changes the underlay link. */
  change(link: Partial<HostFacts['underlay']>): void {
    this.#become({ ...this.#facts, underlay: { ...this.#facts.underlay, ...link } });
  }

  /** Gives the machine another address. */
  move(address: string): void {
    const onLink = this.#facts.ends.ipv4?.onLink ?? [];
    this.changedMs = this.#nowMs();
    this.#become({ ...this.#facts, ends: { ipv4: { address, publicIP: address, onLink } } });
  }

  /** Gives the machine another machine id, card or host name. */
  turnInto(node: Partial<NodeIdentity>): void {
    this.changedMs = this.#nowMs();
    this.#become({ ...this.#facts, node: { ...this.#facts.node, ...node } });
  }

  #become(facts: HostFacts): void {
    this.#facts = facts;
    this.#remember();
    for (const tell of this.listeners) tell();
  }

  #remember(): void {
    const { id, mac } = this.#facts.node;
    if (mac === undefined) this.#ids.add(id);
    else this.#cards.add(mac);
  }
}
