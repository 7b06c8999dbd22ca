// How to reach an API server and who to be there: as plain data, with the ways of a pod and of a bare URL.
// `kubeconfig.ts` has the third way.

import { reasonOf, TwillError } from '../../base/errors.ts';
import { isLoopbackHost } from '../../base/loopback-host.ts';
import { readFileStart } from '../../base/read-file.ts';
import { excerpt } from '../../base/schema.ts';
import { LIMITS } from './limits.ts';

/** A value, or the file that holds it. A file is read for each request, because others exchange it. */
export type Source = { readonly text: string } | { readonly file: string };

export interface ApiAccess {
  /** http or https. Its path is a prefix of all paths. */
  readonly server: URL;
  /** PEM. Undefined: the CAs that Node comes with. */
  readonly ca: Source | undefined;
  /** A bearer token. */
  readonly token: Source | undefined;
  /** A client certificate and its key, both PEM. */
  readonly client: { readonly cert: Source; readonly key: Source } | undefined;
  /** The name that the server's certificate must have. Undefined: that in the URL. */
  readonly serverName: string | undefined;
  /** False: any certificate is trusted. A kubeconfig may say so. */
  readonly isVerified: boolean;
}

/** Access with nothing but a server. */
export function anonymousAccess(server: URL): ApiAccess {
  return {
    server,
    ca: undefined,
    token: undefined,
    client: undefined,
    serverName: undefined,
    isVerified: true,
  };
}

/** Whether the token crosses a network in clear text. */
export function sendsClearToken({ server, token }: ApiAccess): boolean {
  return token !== undefined && server.protocol === 'http:' && !isLoopbackHost(server.hostname);
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The access of a pod, by its environment and the files of its ServiceAccount in `folder`. Fails as `usage` outside of
 * a pod.
 */
export function podAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder = SERVICE_ACCOUNT,
): ApiAccess {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '';
  if (host === '' || port === '') {
    throw new TwillError('usage', 'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set', {
      hint: 'run in a pod, or give --kubeconfig-file or --kube-api-url',
    });
  }
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    ...anonymousAccess(parseServer(`https://${name}:${port}`, 'KUBERNETES_SERVICE_HOST')),
    ca: { file: `${folder}/ca.crt` },
    token: { file: `${folder}/token` },
  };
}

/**
 * The URL of a server. Like kubectl, it takes a text without a scheme for http, or for https if `isTls`. Fails as
 * `usage` in a line that starts with `where`.
 */
export function parseServer(text: string, where: string, isTls = false): URL {
  const whole = text.includes('://') ? text : `${isTls ? 'https' : 'http'}://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  const isServer = url !== undefined && /^https?:$/.test(url.protocol) && url.search + url.hash === '';
  if (!isServer || url.username + url.password !== '')
    throw new TwillError(
      'usage',
      `${where}: must be a URL such as https://10.0.0.1:6443, is ${excerpt(hidden(text))}`,
    );
  return url;
}

// A password may stand before the host.
function hidden(text: string): string {
  return text.replace(/\/\/[^/]*@/, '//…@');
}

/** The value of a source; `what` names it in messages. Fails as `datastore`. */
export async function readSource(
  source: Source,
  what: string,
  maxBytes: number = LIMITS.pemBytes,
): Promise<string> {
  if ('text' in source) return source.text;
  const refuse = (why: string, cause?: unknown): never => {
    throw new TwillError('datastore', `cannot use ${what} in ${source.file}: ${why}`, { cause });
  };
  const { bytes, isPart } = await readFileStart(source.file, { maxBytes }).catch((error: unknown) =>
    refuse(reasonOf(error), error),
  );
  if (isPart) return refuse(`it is longer than ${maxBytes} bytes`);
  const text = bytes.toString().trim();
  return text === '' ? refuse('it is empty') : text;
}

/** The bearer token. Fails as `datastore`, also where it could not be part of a header. */
export async function readToken(source: Source): Promise<string> {
  const token = await readSource(source, 'the token', LIMITS.tokenBytes);
  // The token itself is in no message.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new TwillError('datastore', `the token${fileOf(source)} is not one of printable characters`);
  return token;
}

function fileOf(source: Source): string {
  return 'file' in source ? ` in ${source.file}` : '';
}
