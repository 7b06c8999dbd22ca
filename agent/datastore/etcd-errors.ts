// What went wrong at an etcd, as one line for the operator. etcd and gRPC tell most of it in text only, so the text
// is read here, once, and nowhere else.
import { messageOf, TwillError } from '../base/errors.ts';

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

/** Reads anything that a call failed with. */
export function readFailure(thrown: unknown): EtcdFailure {
  const fields = thrown !== null && typeof thrown === 'object' ? thrown : {};
  const code = 'code' in fields && typeof fields.code === 'number' ? fields.code : UNAVAILABLE;
  const details = 'details' in fields && typeof fields.details === 'string' ? fields.details : '';
  return { code, text: tidy(details === '' ? messageOf(thrown) : details) };
}

// gRPC wraps the reason of a lost connection several times.
function tidy(text: string): string {
  return text
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

/** Whether another server may answer better: this one cannot be reached, is stuck, or has no leader. */
export function isServerFailure({ code, text }: EtcdFailure): boolean {
  return code === UNAVAILABLE || code === DEADLINE_EXCEEDED || code === CANCELLED || /no leader/.test(text);
}

/** Whether a new token may help: ours expired, or users and roles changed since. */
export function isStaleToken({ text }: EtcdFailure): boolean {
  return /invalid auth token|revision of auth store is old|user name is empty/.test(text);
}

/** Whether the server knows no users, and so wants no token. */
export function isAuthDisabled({ text }: EtcdFailure): boolean {
  return /authentication is not enabled/.test(text);
}

/** Whether the lease that was asked for has ended. */
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
    what: 'its certificate is not signed by a CA that we know',
    hint: 'give the CA that signed it by --etcd-cafile',
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
    what: 'it refuses our client certificate, or wants one',
    hint: 'give a certificate signed by its CA by --etcd-certfile and --etcd-keyfile',
  },
  {
    when: ({ text }) =>
      /wrong version number|packet length too long|before secure TLS connection/i.test(text),
    what: 'it does not speak TLS',
    hint: 'use http:// in --etcd-endpoints, or turn TLS on in etcd',
  },
  {
    // So ends a handshake, too, where the server has read no further than that it is none.
    when: ({ text }) => text === 'read ECONNRESET',
    what: 'it broke the connection off',
    hint: 'where it always does, it may want http:// instead of https:// in --etcd-endpoints, or the other way round',
  },
  {
    when: ({ text }) => text.startsWith('Failed to connect'),
    what: 'it closes the connection at once',
    hint: 'use https:// in --etcd-endpoints if it wants TLS, and check that it is an etcd',
  },
  {
    when: ({ text }) => /invalid user id or password|authentication failed|user not found/i.test(text),
    what: 'wrong user name or password',
    hint: 'check --etcd-username and --etcd-password',
  },
  {
    when: ({ text, code }) => code === INVALID_ARGUMENT && /user name is empty/.test(text),
    what: 'it wants a user name and password',
    hint: 'give --etcd-username and --etcd-password',
  },
  {
    when: ({ code }) => code === UNAUTHENTICATED,
    what: 'it does not accept our login',
    hint: 'check --etcd-username and --etcd-password',
  },
  {
    when: ({ text }) => /permission denied/i.test(text),
    what: 'permission denied',
    hint: 'the user needs a role that may read and write all keys under the prefix',
  },
  {
    when: ({ code, text }) => code === RESOURCE_EXHAUSTED && /space/.test(text),
    what: 'its database is full',
    hint: 'compact and defragment etcd, then disarm its NOSPACE alarm',
  },
  {
    when: ({ code, text }) => code === FAILED_PRECONDITION || /not supported|unimplemented/i.test(text),
    what: 'it refuses the request',
    hint: 'etcd 3.3 or later is needed, with its v3 API',
  },
];

/** The error for the operator; `endpoints` are the servers that were asked, `what` was tried (`list keys`). */
export function etcdError(thrown: unknown, endpoints: readonly string[], what: string): TwillError {
  if (thrown instanceof TwillError) return thrown;
  const failure = readFailure(thrown);
  const known = CASES.find(({ when }) => when(failure));
  const at = `etcd at ${endpoints.join(', ')}: cannot ${what}`;
  if (known !== undefined) {
    return new TwillError('datastore', `${at}: ${known.what} (${failure.text})`, {
      hint: known.hint,
      cause: thrown,
    });
  }
  return new TwillError('datastore', `${at}: ${failure.text}`, {
    cause: thrown,
    ...(isServerFailure(failure)
      ? {
          hint: 'check that etcd runs there, that its address and port are right, and that no firewall is between',
        }
      : {}),
  });
}
