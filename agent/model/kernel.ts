// The contract of the kernel: read what is ours, apply changes, and tell when something may have changed.
import type { TwillError } from '../base/errors.ts';
import type { HostObject, HostState } from './host-state.ts';

/**
 * One step from one host state to another.
 *
 * `replace` is for an object whose key exists with other properties; of a link it means: delete it and make it
 * anew, and everything on it is gone then. `alter` changes a link in place.
 */
export interface Change {
  readonly op: 'add' | 'replace' | 'alter' | 'delete';
  readonly object: HostObject;
}

/** A change that the kernel refused. */
export interface ChangeFailure {
  readonly change: Change;
  /** `host`, with the errno. */
  readonly error: TwillError;
}

/**
 * Something in the kernel changed, by us or by others. `line` is the object as text (`formatObject`) when it is
 * there and ours, undefined when it is gone or somebody else's; `link`: one that is not ours, or its addresses, came,
 * changed or went: the kernel may have dropped routes by it without a word, or take now what it refused before;
 * `unknown`: events were lost, anything may have changed.
 */
export type KernelEvent =
  | { readonly type: 'object'; readonly key: string; readonly line: string | undefined }
  | { readonly type: 'link'; readonly name: string }
  | { readonly type: 'unknown' };

export interface Kernel extends AsyncDisposable {
  /** All objects that are ours: our links and what is on them, and the routes with our protocol number. */
  read(signal?: AbortSignal): Promise<HostState>;
  /**
   * Applies changes in the given order as far as order matters, many at a time. What is already as wanted
   * (gone, or there) is success. One that is refused stops no other; the refused ones are returned.
   */
  apply(changes: readonly Change[], signal?: AbortSignal): Promise<readonly ChangeFailure[]>;
  /**
   * Changes of our links and what is on them, of other links, and of routes in the main table, until `signal` is
   * aborted. The first event is `unknown`: from then on nothing is missed.
   */
  watch(signal: AbortSignal): AsyncIterable<KernelEvent>;
}
