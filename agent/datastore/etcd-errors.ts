// Turns failures of etcd and gRPC into one line for the operator. Most of them differ only in their text, and no other
// file reads that text.
import { messageOf, TwillError } from '../base/errors.ts';
import { CLOSED_AT_ONCE } from './grpc.ts';
import { LIMITS } from './limits.ts';

/** An attempt at an operation. */
export interface EtcdAttempt {
  /** Completes "cannot …", such as `list keys`. */
  readonly what: string;
  /** The right that the user needs, in the words of `etcdctl role grant-permission ROLE …`; undefined: none. */
  readonly right?: string;
}

/** A failed call, as gRPC reports it. */
export interface EtcdFailure {
  /** gRPC's status code. */
  readonly code: number;
  readonly text: string;
}

const CANCELLED = 1;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const FAILED_PRECONDITION = 9;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Parses anything thrown by a call. */
export function parseEtcdFailure(thrown: unknown): EtcdFailure {
  const fields = thrown !== null && typeof thrown === 'object' ? thrown : {};
  const code = 'code' in fields && typeof fields.code === 'number' ? fields.code : UNAVAILABLE;
  const details = 'details' in fields && typeof fields.details === 'string' ? fields.details : '';
  return { code, text: tidy(details === '' ? messageOf(thrown) : details) };
}

// gRPC wraps the reason of a lost connection in several layers of text.
function tidy(text: string): string {
  return text
    .slice(0, LIMITS.reasonChars)
    .replaceAll(/\s+/g, ' ')
    .replace(/^.*Last error: (?:Error: )?/, '')
    .replace(/\.? Resolution note:.*$/, '')
    .replace(/ \(\d{4}-[\d:.TZ-]+\)$/, '')
    .replace(/^Error \[\w+\]: /, '')
    .replace(/^.*SSL routines:[^:]*:([^:]+):.*$/, '$1')
    .replace(/^rpc error: code = \w+ desc = /, '')
    .replace(/^etcd(?:server)?: /, '')
    .trim();
}

/** Whether another server may succeed: this one is unreachable, stuck, has no leader, or is not a full member yet. */
export function isServerFailure({ code, text }: EtcdFailure): boolean {
  const isAway = code === UNAVAILABLE || code === DEADLINE_EXCEEDED || code === CANCELLED;
  return isAway || /no leader|not supported for learner/.test(text);
}

/** Whether the user lacks a right. */
export function isDenied({ text }: EtcdFailure): boolean {
  return /permission denied/i.test(text);
}

/** Whether a new token may help: ours has expired, or users and roles have changed. */
export function isStaleToken({ text }: EtcdFailure): boolean {
  return /invalid auth token|revision of auth store is old|user name is empty/.test(text);
}

/** Whether authentication is off, so that the server needs no token. */
export function isAuthDisabled({ text }: EtcdFailure): boolean {
  return /authentication is not enabled/.test(text);
}

/** Whether the history of the request's revision is gone. */
export function isCompacted({ text }: EtcdFailure): boolean {
  return /required revision has been compacted/.test(text);
}

/** Whether the lease of the request has ended. */
export function isLeaseGone({ text }: EtcdFailure): boolean {
  return /requested lease not found/.test(text);
}

const CASES: readonly {
  readonly when: (failure: EtcdFailure) => boolean;
  readonly what: string;
  readonly hint: string;
}[] = [
  {
    when: ({ text }) => /self.signed|unable to (get|verify)|issuer certificate|unknown ca/i.test(text),
    what: 'its certificate is not signed by a known CA',
    hint: 'pass the CA that signed it with --etcd-cafile',
  },
  {
    when: ({ text }) => /altnames|hostname\/ip does not match/i.test(text),
    what: 'its certificate is for another name or address',
    hint: 'use an endpoint that the certificate names',
  },
  {
    when: ({ text }) =>
      /certificate has expired|certificate is not yet valid|alert certificate expired/i.test(text),
    what: 'a certificate is expired or not yet valid',
    hint: 'renew the certificate, or set the clock',
  },
  {
    when: ({ text }) =>
      /certificate required|bad certificate|handshake failure|alert certificate unknown/i.test(text),
    what: 'it refuses our client certificate, or requires one',
    hint: 'pass a certificate that its CA signed with --etcd-certfile and --etcd-keyfile',
  },
  {
    when: ({ text }) =>
      /wrong version number|packet length too long|before secure TLS connection/i.test(text),
    what: 'it does not speak TLS',
    hint: 'use http:// in --etcd-endpoints, or turn TLS on in etcd',
  },
  {
    // A server without TLS may also end a handshake like this.
    when: ({ text }) => text === 'read ECONNRESET',
    what: 'it reset the connection',
    hint: 'if this repeats, swap http:// and https:// in --etcd-endpoints',
  },
  {
    when: ({ text }) => text === CLOSED_AT_ONCE,
    what: 'it closes the connection at once',
    hint: 'use https:// in --etcd-endpoints if it requires TLS, and check that it is an etcd',
  },
  {
    when: ({ text }) => /invalid user id or password|authentication failed|user not found/i.test(text),
    what: 'wrong user name or password',
    hint: 'check --etcd-username and --etcd-password',
  },
  {
    when: ({ text, code }) => code === INVALID_ARGUMENT && /user name is empty/.test(text),
    what: 'it requires a user name and a password',
    hint: 'pass --etcd-username and --etcd-password',
  },
  {
    when: ({ code }) => code === UNAUTHENTICATED,
    what: 'it does not accept our login',
    hint: 'check --etcd-username and --etcd-password',
  },
  {
    when: isDenied,
    what: 'permission denied',
    hint: 'give the user a role that may read the configuration, and read and write the keys of the leases',
  },
  {
    when: ({ code, text }) => code === RESOURCE_EXHAUSTED && /space/.test(text),
    what: 'its database is full, so it refuses writes',
    hint: 'free space with etcdctl compact and etcdctl defrag, then etcdctl alarm disarm',
  },
  {
    when: ({ code, text }) => code === RESOURCE_EXHAUSTED && /too many requests/.test(text),
    what: 'it is overloaded',
    hint: 'look at its disk, its processor and its number of clients',
  },
  {
    when: ({ text }) => /rpc not supported for learner/.test(text),
    what: 'it is a learner, which serves no clients',
    hint: 'promote it with etcdctl member promote, or name the other members in --etcd-endpoints',
  },
  {
    when: ({ code, text }) => code === FAILED_PRECONDITION || /not supported|unimplemented/i.test(text),
    what: 'it refuses the request',
    hint: 'use etcd 3.3 or later, with its v3 API',
  },
];

/** The error for the operator. `endpoints` are the servers tried. */
export function etcdError(thrown: unknown, endpoints: readonly string[], attempt: EtcdAttempt): TwillError {
  if (thrown instanceof TwillError) return thrown;
  const failure = parseEtcdFailure(thrown);
  const known = CASES.find(({ when }) => when(failure));
  const at = `etcd at ${endpoints.join(', ')}: cannot ${attempt.what}`;
  if (known !== undefined) {
    const detail = known.what === failure.text ? '' : ` (${failure.text})`;
    return new TwillError('datastore', `${at}: ${known.what}${detail}`, {
      hint: isDenied(failure) && attempt.right !== undefined ? grantHint(attempt.right) : known.hint,
      cause: thrown,
    });
  }
  return new TwillError('datastore', `${at}: ${failure.text}`, {
    cause: thrown,
    ...(isServerFailure(failure)
      ? {
          hint: 'check that etcd runs there, that address and port are right, and that no firewall is in between',
        }
      : {}),
  });
}

function grantHint(right: string): string {
  return `give a role of the user this right: etcdctl role grant-permission ROLE ${right}`;
}
