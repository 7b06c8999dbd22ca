// The contract of the kernel: it reads our objects, applies changes, and reports events.
import type { TwillError } from '../base/errors.ts';
import type { HostObject, HostState } from './host-state.ts';

/** One step from one host state to another. */
export interface Change {
  /**
   * - `add` makes an object whose key is free.
   * - `replace` gives an existing key other properties. A link is deleted and made anew, and loses everything on it.
   * - `alter` changes a live link in place, or the protocol of a route that flannel left behind.
   * - `delete` removes the object.
   */
  readonly op: 'add' | 'replace' | 'alter' | 'delete';
  readonly object: HostObject;
  /** The entry that `replace` replaces. Undefined for a link, and for every other `op`. */
  readonly before?: HostObject;
}

/** A change that the kernel refused. */
export interface ChangeFailure {
  readonly change: Change;
  /** `host`, with the errno. */
  readonly error: TwillError;
}

/** Something in the kernel changed, by our hand or another's. */
export type KernelEvent =
  /** An object of ours was written: its key has this object now. */
  | { readonly type: 'written'; readonly object: HostObject }
  /** The object with this text (`formatObject`) is gone; undefined: the key has no object of ours now. */
  | { readonly type: 'gone'; readonly key: string; readonly line: string | undefined }
  /** A route of another program came or went that has the key of a route of ours, if we have one. */
  | { readonly type: 'foreign'; readonly key: string }
  /**
   * A link that is not ours changed, or its addresses. The kernel may have dropped routes of ours silently, or may now
   * take changes that it refused before.
   */
  | { readonly type: 'link'; readonly name: string }
  /** Events were lost; anything may have changed. */
  | { readonly type: 'unknown' };

export interface Kernel extends AsyncDisposable {
  /** Reads all objects that are ours: our links, the entries on them, and the routes with our protocol number. */
  read(signal?: AbortSignal): Promise<HostState>;
  /**
   * Applies changes, many at a time, in the given order as far as order matters. A change whose result stands already
   * is a success. A refused change stops no other; all refused ones are returned.
   *
   * An object of another program is never replaced or deleted: a route with its key, or a link with its name, is
   * refused, and the error names it.
   */
  apply(changes: readonly Change[], signal?: AbortSignal): Promise<readonly ChangeFailure[]>;
  /**
   * Watches our links and the entries on them, other links, and the routes of the main table until `signal` is
   * aborted. The first event is `unknown`: nothing after it is missed.
   */
  watch(signal: AbortSignal): AsyncIterable<KernelEvent>;
}
