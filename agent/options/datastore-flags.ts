// Reads the flags of the datastore: `--store` and the etcd flags.
import { posix } from 'node:path';
import { reasonOf, TwillError } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import { excerpt } from '../base/schema.ts';
import type { EtcdOptions, KvOptions } from '../model/datastore-options.ts';
import type { FlagValues } from './flag-values.ts';
import type { FlagName } from './flags.ts';

/** Longest prefix of keys, in characters. */
const MAX_PREFIX = 512;
/** Longest file of a password, in bytes. */
const MAX_PASSWORD_FILE = 4_096;

/** The store of the flags. Fails as `usage`, or as `host` for a file. No message contains a password. */
export async function readKvOptions(values: FlagValues): Promise<KvOptions> {
  const store = values.text('store');
  const prefix = readPrefix(values);
  if (store.startsWith('file:')) {
    const directory = store.slice('file:'.length);
    if (!directory.startsWith('/')) {
      throw refusal(values, 'store', `must name an absolute directory after "file:", is ${excerpt(store)}`);
    }
    return { kind: 'file', directory, prefix };
  }
  if (store !== 'etcd') {
    // Perhaps a URL with a password.
    const found = store.includes('@') ? '' : `, is ${excerpt(store)}`;
    throw refusal(values, 'store', `must be "etcd" or "file:DIR"${found}`);
  }
  return readEtcdOptions(values, prefix);
}

async function readEtcdOptions(values: FlagValues, prefix: string): Promise<EtcdOptions> {
  const file = (name: FlagName<'string'>): string | undefined => values.text(name) || undefined;
  const together = (a: FlagName<'string'>, b: FlagName<'string'>): void => {
    for (const [has, needs] of [[a, b] as const, [b, a] as const]) {
      if (values.text(has) !== '' && values.text(needs) === '')
        throw refusal(values, has, `needs --${needs} too`);
    }
  };
  together('etcd-certfile', 'etcd-keyfile');
  const passwordFile = file('etcd-password-file');
  if (passwordFile === undefined) together('etcd-username', 'etcd-password');
  else if (file('etcd-username') === undefined)
    throw refusal(values, 'etcd-password-file', 'needs --etcd-username too');
  else if (file('etcd-password') !== undefined)
    throw refusal(
      values,
      'etcd-password-file',
      `takes the place of ${values.source('etcd-password')}: leave one out`,
    );
  const certFile = file('etcd-certfile');
  const caFile = file('etcd-cafile');
  const endpoints = readEndpoints(values, certFile !== undefined || caFile !== undefined);
  const clear = endpoints.find((endpoint) => endpoint.startsWith('http:'));
  if (clear !== undefined) {
    for (const name of ['etcd-cafile', 'etcd-certfile'] as const) {
      if (file(name) !== undefined) throw uselessFile(values, name, clear);
    }
  }
  return {
    kind: 'etcd',
    endpoints,
    prefix,
    caFile,
    certFile,
    keyFile: file('etcd-keyfile'),
    username: file('etcd-username'),
    password: passwordFile === undefined ? file('etcd-password') : await readPassword(values, passwordFile),
  };
}

// An editor ends the line. Any other blank may be a part of the password.
async function readPassword(values: FlagValues, path: string): Promise<string> {
  const name = `${values.source('etcd-password-file')} ${excerpt(path).slice(1, -1)}`;
  const refuse = (what: string, cause?: unknown): TwillError =>
    new TwillError('host', `${name}: ${what}`, {
      cause,
      hint: 'give a file that this user may read, with the password of the etcd user and nothing else',
    });
  const bytes = await readWholeFile(path, { maxBytes: MAX_PASSWORD_FILE }).catch((error: unknown) => {
    throw refuse(`cannot read it: ${reasonOf(error)}`, error);
  });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch {
    throw refuse('it is no text in UTF-8');
  }
  if (text === '') throw refuse('it is empty');
  return text;
}

// flannel takes such files and does without TLS. Whoever gives them wants TLS, and perhaps sends a password. A refused
// start is noticed, and a password in clear text is not.
function uselessFile(values: FlagValues, name: FlagName<'string'>, endpoint: string): TwillError {
  const [file, endpoints] = [values.source(name), values.source('etcd-endpoints')];
  return new TwillError('usage', `${file}: needs https:// in ${endpoints}, which is ${endpoint}`, {
    hint: `write https:// in ${endpoints} if etcd speaks TLS, or leave ${file} out`,
  });
}

// Accepts `host:port` without a scheme, as etcd's own programs do: https if there are certificates.
function readEndpoints(values: FlagValues, hasCertificates: boolean): readonly string[] {
  const texts = values
    .text('etcd-endpoints')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  // Before anything else, so that no message shows a password.
  if (texts.some((text) => text.includes('@'))) {
    throw refusal(
      values,
      'etcd-endpoints',
      'must not contain a user: use --etcd-username and --etcd-password',
    );
  }
  const endpoints = texts.map((text) => {
    const url = parseUrl(
      /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${hasCertificates ? 'https' : 'http'}://${text}`,
    );
    if (url === undefined || !isEndpoint(url)) {
      throw refusal(
        values,
        'etcd-endpoints',
        `must be URLs such as http://10.0.0.1:2379, separated by commas, is ${excerpt(text)}`,
      );
    }
    // The port is read from the text, because a URL drops the default port of its scheme.
    const port = /:(\d+)\/?$/.exec(text)?.[1] ?? '2379';
    return `${url.protocol}//${url.hostname}:${Number(port)}`;
  });
  if (endpoints.length === 0) throw refusal(values, 'etcd-endpoints', 'must name at least one URL');
  if (new Set(endpoints.map((endpoint) => endpoint.startsWith('https:'))).size > 1) {
    throw refusal(values, 'etcd-endpoints', 'must be all http or all https');
  }
  return endpoints;
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function isEndpoint(url: URL): boolean {
  const isBare = (url.pathname === '/' || url.pathname === '') && url.search === '' && url.hash === '';
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '' && isBare;
}

// flannel joins prefix and key as paths. A prefix may begin without a slash, and is another one then.
function readPrefix(values: FlagValues): string {
  const text = values.text('etcd-prefix');
  if (!/^[^\s\p{Cc}]*$/u.test(text) || text.length > MAX_PREFIX) {
    throw refusal(
      values,
      'etcd-prefix',
      `must be a key such as /coreos.com/network (no blanks, at most ${MAX_PREFIX} characters), is ${excerpt(text)}`,
    );
  }
  const cleaned = posix.normalize(text).replace(/(?<=.)\/$/, '');
  return cleaned === '.' ? '' : cleaned;
}

function refusal(values: FlagValues, name: FlagName, what: string): TwillError {
  return new TwillError('usage', `${values.source(name)}: ${what}`);
}
