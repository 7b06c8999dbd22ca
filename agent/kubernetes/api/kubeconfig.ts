// Reads a kubeconfig: its current context, with credentials in the file or in files beside it. It refuses what it
// cannot do: a program that fetches credentials, a proxy, a password, another user's name. Ignoring one of these would
// make us somebody else.
import { dirname, resolve } from 'node:path';
import { asTwillError, messageOf, TwillError } from '../../base/errors.ts';
import { readWholeFile } from '../../base/read-file.ts';
import { excerpt, parseWith } from '../../base/schema.ts';
import * as v from '../../base/valibot.ts';
import { type ApiAccess, parseServer, type Source } from './access.ts';
import { LIMITS } from './limits.ts';

const TEXT = 'must be a text';
const text = v.nullish(v.string(TEXT), '');
const flag = v.nullish(v.boolean('must be true or false'), false);

const cluster = v.looseObject(
  {
    server: text,
    'certificate-authority': text,
    'certificate-authority-data': text,
    'insecure-skip-tls-verify': flag,
    'tls-server-name': text,
    'proxy-url': text,
  },
  'must be an object',
);

const user = v.looseObject(
  {
    token: text,
    tokenFile: text,
    'client-certificate': text,
    'client-certificate-data': text,
    'client-key': text,
    'client-key-data': text,
  },
  'must be an object',
);

const context = v.looseObject({ cluster: text, user: text }, 'must be an object');

const list = <E extends v.ObjectEntries>(entries: E) =>
  v.nullish(v.array(v.looseObject(entries, 'must be an object with a name'), 'must be a list'), []);

const name = v.string(TEXT);
const kubeconfig = v.looseObject(
  {
    'current-context': text,
    clusters: list({ name, cluster }),
    users: list({ name, user: v.nullish(user, {}) }),
    contexts: list({ name, context }),
  },
  'must be an object with clusters, users and contexts',
);

type Cluster = v.InferOutput<typeof cluster>;
type User = v.InferOutput<typeof user>;

/** Fields of a user and of its cluster that are refused, with the way out. */
const REFUSED: Readonly<Record<string, string>> = {
  exec: 'programs that fetch credentials are not run: use a token, a tokenFile or a client certificate',
  'auth-provider': 'such plug-ins are gone from Kubernetes: use a token, a tokenFile or a client certificate',
  username: 'API servers take no passwords since Kubernetes 1.19: use a token or a client certificate',
  password: 'API servers take no passwords since Kubernetes 1.19: use a token or a client certificate',
  as: 'acting as another user is not supported: give that user a kubeconfig',
  'as-uid': 'acting as another user is not supported: give that user a kubeconfig',
  'as-groups': 'acting as another user is not supported: give that user a kubeconfig',
  'as-user-extra': 'acting as another user is not supported: give that user a kubeconfig',
  'proxy-url': 'proxies are not supported: name a server that can be reached directly',
};

/**
 * The access of the current context of the kubeconfig at `path`. `server` takes the place of the context's server.
 * Fails as `usage`, in one line with the path.
 */
export async function kubeconfigAccess(path: string, server?: string): Promise<ApiAccess> {
  const bytes = await readWholeFile(path, { maxBytes: LIMITS.kubeconfigBytes }).catch((error: unknown) => {
    throw asTwillError(error, 'usage', `cannot read the kubeconfig ${path}`);
  });
  const config = parseWith(kubeconfig, await parseYaml(bytes.toString(), path), path, 'usage');
  const refuse = (what: string, hint?: string): never => {
    throw new TwillError('usage', `${path}: ${what}`, hint === undefined ? {} : { hint });
  };
  const current = config['current-context'];
  if (current === '') refuse('it names no current-context', 'choose one with kubectl config use-context');
  const find = <T extends { readonly name: string }>(
    entries: readonly T[],
    kind: string,
    wanted: string,
  ): T => entries.find((entry) => entry.name === wanted) ?? refuse(`it has no ${kind} ${excerpt(wanted)}`);
  const chosen = find(config.contexts, 'context', current).context;
  const found = find(config.clusters, 'cluster', chosen.cluster).cluster;
  // A context without a user is an anonymous one.
  const owner: Partial<User> = chosen.user === '' ? {} : find(config.users, 'user', chosen.user).user;
  for (const [where, fields] of [
    [`user ${chosen.user}`, owner],
    [`cluster ${chosen.cluster}`, found],
  ] as const) {
    for (const [field, hint] of Object.entries(REFUSED))
      if (isSet(fields[field])) refuse(`the ${where} has ${field}`, hint);
  }
  return accessOf({ path, cluster: found, user: owner, server: server ?? found.server });
}

interface Chosen {
  readonly path: string;
  readonly cluster: Cluster;
  readonly user: Partial<User>;
  readonly server: string;
}

function accessOf({ path, cluster: found, user: owner, server }: Chosen): ApiAccess {
  const refuse = (what: string): never => {
    throw new TwillError('usage', `${path}: ${what}`);
  };
  /** A value in the kubeconfig wins over a file, as for kubectl. */
  const source = (where: string, file: string | undefined, data: string | undefined): Source | undefined => {
    if (data !== undefined && data !== '')
      return { text: decode(data) ?? refuse(`${where}-data is no base64`) };
    return file === undefined || file === '' ? undefined : { file: resolve(dirname(path), file) };
  };
  const ca = source(
    'certificate-authority',
    found['certificate-authority'],
    found['certificate-authority-data'],
  );
  const cert = source('client-certificate', owner['client-certificate'], owner['client-certificate-data']);
  const key = source('client-key', owner['client-key'], owner['client-key-data']);
  if ((cert === undefined) !== (key === undefined))
    refuse('client-certificate and client-key belong together');
  const isVerified = !found['insecure-skip-tls-verify'];
  if (!isVerified && ca !== undefined)
    refuse('certificate-authority has no use beside insecure-skip-tls-verify');
  const isTls = ca !== undefined || cert !== undefined || !isVerified;
  if (server === '') refuse('its cluster names no server');
  const serverName = found['tls-server-name'];
  // The file of a token wins over the token itself, as for kubectl.
  const token =
    source('token', owner.tokenFile, undefined) ?? (owner.token ? { text: owner.token } : undefined);
  return {
    server: parseServer(server, `${path}: server`, isTls),
    ca,
    token,
    client: cert && key && { cert, key },
    serverName: serverName === '' ? undefined : serverName,
    isVerified,
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function decode(data: string): string | undefined {
  const compact = data.replaceAll(/\s/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(compact) ? Buffer.from(compact, 'base64').toString() : undefined;
}

/** Parses JSON or YAML. The library is loaded for YAML alone. */
async function parseYaml(content: string, path: string): Promise<unknown> {
  try {
    return JSON.parse(content);
  } catch {
    // YAML, as nearly always.
  }
  const { parse } = await import('yaml');
  try {
    // Aliases may make a small text a huge value. A kubeconfig has none.
    // A pretty error would quote the text, which holds secrets.
    return parse(content, { maxAliasCount: 0, prettyErrors: false, logLevel: 'error' });
  } catch (error) {
    throw new TwillError('usage', `${path}: not valid YAML: ${messageOf(error)}`, { cause: error });
  }
}
