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

export interface Kernel extends AsyncDisposable {
  /** All objects that are ours: our links and what is on them, and the routes with our protocol number. */
  read(signal?: AbortSignal): Promise<HostState>;
  /**
   * Applies changes in the given order as far as order matters, many at a time. What is already as wanted
   * (gone, or there) is success. One that is refused stops no other; the refused ones are returned.
   */
  apply(changes: readonly Change[], signal?: AbortSignal): Promise<readonly ChangeFailure[]>;
  /** Yields whenever links, addresses, routes, neighbours or fdb entries changed, by us or by others. */
  watch(signal: AbortSignal): AsyncIterable<void>;
}
