// The public addresses of the peers, kept as peers come and go: a change costs its own address, and not all of them.

/** Addresses with the number of peers that each has, and the changes that nobody has taken yet. */
export class PublicAddresses implements Iterable<string> {
  readonly #counts = new Map<string, number>();
  /** The addresses that came or went since the last call of `take`, and whether each was there then. */
  #moved = new Map<string, boolean>();

  add(address: string): void {
    const count = this.#counts.get(address) ?? 0;
    this.#counts.set(address, count + 1);
    if (count === 0) this.#note(address, false);
  }

  remove(address: string): void {
    const count = this.#counts.get(address) ?? 0;
    if (count > 1) this.#counts.set(address, count - 1);
    else if (this.#counts.delete(address)) this.#note(address, true);
  }

  /** All of them, each once. */
  [Symbol.iterator](): Iterator<string> {
    return this.#counts.keys();
  }

  /** The changes since the last call. */
  take(): { readonly added: readonly string[]; readonly removed: readonly string[] } {
    const moved = [...this.#moved];
    this.#moved = new Map();
    const wereThere = (was: boolean): string[] =>
      moved.filter(([, wasThere]) => wasThere === was).map(([address]) => address);
    return { added: wereThere(false), removed: wereThere(true) };
  }

  #note(address: string, wasThere: boolean): void {
    // It has come back, or gone again: no change.
    if (!this.#moved.delete(address)) this.#moved.set(address, wasThere);
  }
}
