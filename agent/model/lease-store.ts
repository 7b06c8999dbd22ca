// The contract between the agent and wherever leases live: a key-value store or the Kubernetes API.
// Two nodes never get the same subnet from it: claiming is atomic in the store.
import type { TwillError } from '../base/errors.ts';
import type { PerFamily, Prefix } from './ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from './lease.ts';

/** Something under the lease prefix that is not a lease. It is reported and skipped, and drops no route. */
export interface MalformedEntry {
  /** Its whole path in the store. */
  readonly where: string;
  /** The key of the lease that belongs there; undefined where the path names none. */
  readonly key: string | undefined;
  /** One line for the operator. */
  readonly reason: string;
}

/** What happens in the store. The first event is a snapshot; another one follows whenever history was lost. */
export type StoreEvent =
  | {
      readonly type: 'snapshot';
      /** The text of the network configuration; undefined when there is none. */
      readonly config: string | undefined;
      readonly leases: readonly Lease[];
      readonly malformed: readonly MalformedEntry[];
      /** Of the whole store at that moment; a lease written later has a higher one. */
      readonly revision: number;
    }
  | { readonly type: 'lease'; readonly lease: Lease }
  | { readonly type: 'lease-removed'; readonly key: string; readonly revision: number }
  | { readonly type: 'malformed'; readonly entry: MalformedEntry }
  | { readonly type: 'config'; readonly text: string | undefined }
  /** Another node asks whether the holder of this lease is alive; see `challenge`. */
  | { readonly type: 'challenge'; readonly key: string; readonly by: NodeIdentity }
  /** The store cannot be reached; what is known stays true until it is back. Repeated at each failed attempt. */
  | { readonly type: 'disconnected'; readonly error: TwillError }
  | { readonly type: 'connected' };

/** A lease of our own, with the time for which it was kept alive. */
export interface HeldLease {
  readonly lease: Lease;
  /** Seconds until it expires unless renewed; undefined for a reservation. */
  readonly ttlSeconds: number | undefined;
}

/** Operations fail as `datastore`; a lost race is `undefined`. */
export interface LeaseStore extends AsyncDisposable {
  /** For messages: where the network configuration lies, and the command that writes it. */
  readonly configPath: string;
  readonly configHint: string;
  readConfig(signal?: AbortSignal): Promise<string | undefined>;
  /** Replaces the network configuration. */
  writeConfig(text: string, signal?: AbortSignal): Promise<void>;
  /** What happens, from now on, until `signal` is aborted; reconnects by itself. One range read and one watch. */
  watch(signal: AbortSignal): AsyncIterable<StoreEvent>;
  /** Takes subnets that nobody holds. Undefined: somebody does. */
  claim(subnets: PerFamily<Prefix>, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Takes over a lease that is ours already (of an earlier run): keeps it alive, and rewrites its value only
   * where it differs from `attrs`. A reservation stays one. Who asks about it at that moment is answered. Undefined: it
   * expired meanwhile, or changed so that it is not the lease of the node in `attrs`.
   */
  adopt(lease: Lease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Writes our lease again where somebody wrote over it: other attributes of this node, or what is no lease at all,
   * and then with the session that it had. Undefined: it is gone, or another node's.
   */
  repair(held: HeldLease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /** Keeps a lease alive without rewriting its key. Undefined: it has expired or was revoked. */
  renew(held: HeldLease, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /** Gives a lease back; a reservation stays. */
  release(held: HeldLease, signal?: AbortSignal): Promise<void>;
  /**
   * Asks the holder of a lease for a sign of life: true when it answered within `waitMs`. A holder that runs
   * sees a `challenge` event and calls `answerChallenge`.
   */
  challenge(lease: Lease, by: NodeIdentity, waitMs: number, signal?: AbortSignal): Promise<boolean>;
  answerChallenge(key: string, signal?: AbortSignal): Promise<void>;
  /** The way to the store is another one: connections from before are given up rather than waited for. */
  reconnect(): void;
}
