// Everyone's leases, as they come and go. A key-value store tells of them, or any other store that hands out subnets.
import type { TwillError } from '../base/errors.ts';
import type { Lease } from './lease.ts';

/** An entry under the lease prefix that is not a lease. It is reported and skipped, and drops no route. */
export interface MalformedEntry {
  /** The whole path of the entry, for messages. */
  readonly where: string;
  /** The key of the lease that it would be; undefined where the path names none. */
  readonly key: string | undefined;
  /** One line for the operator. */
  readonly reason: string;
}

export type StoreEvent =
  /** All that the store holds. The first event is one; another one follows whenever history was lost. */
  | {
      readonly type: 'snapshot';
      /** The text of the network configuration; undefined when there is none. */
      readonly config: string | undefined;
      readonly leases: readonly Lease[];
      readonly malformed: readonly MalformedEntry[];
      /** Of the whole store at that moment; a lease written later has a higher one. */
      readonly revision: number;
    }
  /** A lease was written. */
  | { readonly type: 'lease'; readonly lease: Lease }
  /** A lease was deleted, or has expired. */
  | { readonly type: 'lease-removed'; readonly key: string; readonly revision: number }
  /** An entry was written that is not a lease. */
  | { readonly type: 'malformed'; readonly entry: MalformedEntry }
  /** An entry was deleted whose path names no lease. */
  | { readonly type: 'malformed-removed'; readonly where: string }
  /** The network configuration was written; undefined: deleted. */
  | { readonly type: 'config'; readonly text: string | undefined }
  /** The store cannot be reached; known leases stay known until it is back. Repeated at each failed attempt. */
  | { readonly type: 'disconnected'; readonly error: TwillError }
  /** The store can be reached again. */
  | { readonly type: 'connected' };

export interface LeaseSource extends AsyncDisposable {
  /** The lengths of subnets: `any` where another system assigns them. Leases of other lengths are not believed. */
  readonly lengths: 'configured' | 'any';
  /** Tells each event from now on until `signal` is aborted; reconnects by itself. One range read and one watch. */
  watch(signal: AbortSignal): AsyncIterable<StoreEvent>;
  /** The host's network has changed: closes the connections made before, which would otherwise hang. */
  reconnect(): void;
}
