// The failures of a request to the Kubernetes API, each in one line with a hint.
import { errnoOf, messageOf, reasonOf, TwillError } from '../../base/errors.ts';
import { excerpt } from '../../base/schema.ts';
import { LIMITS } from './limits.ts';

export type ApiFailureKind =
  /** No answer: no connection, no trust in the server, or silence. */
  | 'unreachable'
  /** The caller gave the connection up, because the host's network has changed. */
  | 'given-up'
  /** The server does not know us: the token or the certificate has expired, or is another cluster's. */
  | 'unauthorized'
  /** The server knows us, and we may not. */
  | 'forbidden'
  | 'not-found'
  /** The resource version, or the token of a further page, is too old. The objects have to be listed again. */
  | 'gone'
  /** The server has too much to do, or fails: another attempt may succeed. */
  | 'busy'
  /** The server refuses the request as it is. */
  | 'rejected'
  /** The answer is not one of the Kubernetes API, or is too large. */
  | 'unreadable';

/** A failed request. Its code is `datastore`: Kubernetes keeps what others keep in etcd. */
export class ApiError extends TwillError {
  readonly kind: ApiFailureKind;
  /** The server asks for a pause of at least this time, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: ApiFailureKind,
    message: string,
    details: { readonly hint?: string; readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ) {
    const errno = errnoOf(details.cause);
    super('datastore', message, { ...details, ...(errno === undefined ? {} : { errno }) });
    this.kind = kind;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** A request, for messages: `list nodes`, `patch nodes/status of n1`. */
export interface Attempt {
  readonly verb: 'get' | 'list' | 'watch' | 'patch';
  /** With the sub-resource: `nodes/status`. */
  readonly resource: string;
  readonly server: string;
}

const KINDS: Readonly<Record<number, ApiFailureKind>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  408: 'busy',
  410: 'gone',
  429: 'busy',
};

/** The part of a Kubernetes Status that messages need. */
export interface ServerStatus {
  readonly code: number;
  /** The server's own words; undefined: it has none. */
  readonly message: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** The Status in an answer or in a watch; `code` and the header's pause count where the text has none. */
export function readStatus(value: unknown, code: number, retryAfter?: string): ServerStatus {
  const status = record(value);
  const seconds = record(status['details'])['retryAfterSeconds'] ?? Number(retryAfter ?? Number.NaN);
  const isPause = typeof seconds === 'number' && seconds > 0;
  return {
    code: typeof status['code'] === 'number' ? status['code'] : code,
    message: typeof status['message'] === 'string' ? status['message'] : undefined,
    retryAfterMs: isPause ? Math.min(seconds * 1000, LIMITS.retryAfterMs) : undefined,
  };
}

/** The error for a request that the server refused. */
export function refusalOf(attempt: Attempt, { code, message, retryAfterMs }: ServerStatus): ApiError {
  const kind = KINDS[code] ?? (code >= 500 ? 'busy' : code >= 400 ? 'rejected' : 'unreadable');
  const text = message === undefined ? '' : `: ${shorten(messageOf(message))}`;
  const hint = hintOf(kind, attempt, message ?? '');
  return new ApiError(kind, `${failed(attempt)}: HTTP status ${code}${text}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The error for a request without an answer, or with an unreadable one. An ApiError passes unchanged. */
export function failureOf(attempt: Attempt, thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const hint = isDistrust(thrown)
    ? 'the CA in use is not that of the server: see its certificate-authority'
    : undefined;
  const kind = thrown instanceof Unreadable ? 'unreadable' : 'unreachable';
  return new ApiError(kind, `${failed(attempt)}: ${shorten(reasonOf(thrown))}`, {
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** The answer is not of the form that the API has. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

const DISTRUST = new Set([
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Whether a handshake failed because the CA in use did not sign the server's certificate. */
export function isDistrust(thrown: unknown): boolean {
  return DISTRUST.has(errnoOf(thrown) ?? '');
}

function failed({ verb, resource, server }: Attempt): string {
  return `cannot ${verb} ${resource} at ${server}`;
}

function hintOf(kind: ApiFailureKind, { verb, resource }: Attempt, message: string): string | undefined {
  if (kind === 'unauthorized') return 'the token or certificate has expired, or is that of another cluster';
  if (kind !== 'forbidden') return undefined;
  if (/User \\?"system:node:/.test(message) && verb !== 'get')
    return "this is the identity of kubelet, which from Kubernetes 1.32 on reads its own Node alone: use the pod's ServiceAccount, or a kubeconfig of another user";
  if (/User \\?"system:anonymous\\?"/.test(message))
    return 'the request has no credentials: give a kubeconfig beside the URL of the server';
  return `its ClusterRole needs the verb ${verb} on ${resource}`;
}

function shorten(text: string): string {
  return text.length <= LIMITS.reasonChars ? text : `${text.slice(0, LIMITS.reasonChars)}…`;
}

/** The fields of a JSON object; none where it is something else. */
export function record(value: unknown): Readonly<Record<string, unknown>> {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
  return isObject ? (value as Readonly<Record<string, unknown>>) : {};
}

/** Parses JSON from a server. Fails as `Unreadable`. */
export function parseAnswer(bytes: Buffer): unknown {
  const text = bytes.toString();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`the answer is no JSON: ${excerpt(text)}`, { cause: error });
  }
}
