// A kind describes itself: its file holds the type of its objects and every rule that differs from kind to kind. The
// tables in `host-state.ts` list all kinds. The members are methods, so that one table can hold kinds of all types.

/** The fields that all links share. */
export interface LinkBase {
  readonly kind: 'link';
  readonly name: string;
  readonly mtuBytes: number;
  /** A desired link is always up; a link that was read may be down. */
  readonly up: boolean;
}

/** One type of link. */
export interface LinkKind<L extends LinkBase> {
  /** Whether a link of this type and name is ours. */
  isOwnName(name: string): boolean;
  /** The part of the line that follows the type and the name. */
  format(link: L): string;
  /** Name of the link that carries this link's packets; undefined: none. */
  underlay(link: L): string | undefined;
  /** A copy of `link` with those fields of `wanted` that Linux can change on a live link. */
  alter(link: L, wanted: L): L;
}

/** One kind of entry: an object that sits on a link. */
export interface EntryKind<E extends { readonly dev: string | undefined }> {
  /** The identity in the kernel, which holds at most one entry of each key. */
  key(entry: E): string;
  /** The whole line. */
  format(entry: E): string;
}
