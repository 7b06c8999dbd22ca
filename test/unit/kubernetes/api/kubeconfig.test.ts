import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAccess } from '../../../../agent/kubernetes/api/find-access.ts';
import { kubeconfigAccess } from '../../../../agent/kubernetes/api/kubeconfig.ts';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-kubeconfig-'));
  path = join(folder, 'config');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const data = (text: string): string => Buffer.from(text).toString('base64');

/** A kubeconfig with two contexts; `user` and `cluster` are lines of the current one. */
function text({ user = 'token: abc', cluster = 'server: https://10.0.0.1:6443' } = {}): string {
  const indented = (lines: string): string => lines.split('\n').join('\n    ');
  return `apiVersion: v1
kind: Config
current-context: here
preferences: {}
clusters:
- name: other
  cluster: { server: "https://10.0.0.2:6443" }
- name: main
  cluster:
    ${indented(cluster)}
users:
- name: agent
  user:
    ${indented(user)}
- name: nobody
contexts:
- name: there
  context: { cluster: other, user: agent }
- name: here
  context: { cluster: main, user: agent, namespace: kube-system }
`;
}

async function read(content: string | Buffer, server?: string) {
  await writeFile(path, content);
  const access = await kubeconfigAccess(path, server);
  return { ...access, server: access.server.href };
}

const refusal = (content: string | Buffer): Promise<unknown> =>
  read(content).then(
    () => 'taken',
    (error: unknown) => error,
  );

describe('a kubeconfig', () => {
  it('gives the server and the credentials of its current context', async () => {
    expect(await read(text())).toEqual({
      server: 'https://10.0.0.1:6443/',
      ca: undefined,
      token: { text: 'abc' },
      client: undefined,
      serverName: undefined,
      isVerified: true,
    });
  });

  it('takes credentials from itself', async () => {
    const cluster = `server: https://a\ncertificate-authority-data: ${data('the ca')}\ncertificate-authority: /unused`;
    const user = `client-certificate-data: ${data('the certificate')}\nclient-key-data: ${data('the key')}`;
    expect(await read(text({ cluster, user }))).toMatchObject({
      ca: { text: 'the ca' },
      token: undefined,
      client: { cert: { text: 'the certificate' }, key: { text: 'the key' } },
    });
  });

  it('takes credentials from files, beside itself where their paths are relative', async () => {
    const cluster = 'server: https://a\ncertificate-authority: pki/ca.crt\ntls-server-name: kubernetes';
    const user = 'client-certificate: /pki/a.crt\nclient-key: a.key\ntoken: old\ntokenFile: token';
    expect(await read(text({ cluster, user }))).toMatchObject({
      ca: { file: join(folder, 'pki/ca.crt') },
      token: { file: join(folder, 'token') },
      client: { cert: { file: '/pki/a.crt' }, key: { file: join(folder, 'a.key') } },
      serverName: 'kubernetes',
    });
  });

  it('lets another server take the place of its own', async () => {
    const own = await read(text({ user: 'token: abc' }), 'https://10.0.0.9:6443');
    expect([own.server, own.token]).toEqual(['https://10.0.0.9:6443/', { text: 'abc' }]);
    expect((await read(text(), '10.0.0.9:8080')).server).toBe('http://10.0.0.9:8080/');
    const cluster = `certificate-authority-data: ${data('the ca')}`;
    expect((await read(text({ cluster }), '10.0.0.9:6443')).server).toBe('https://10.0.0.9:6443/');
  });

  it('is one of three ways, which the flags choose as in flannel', async () => {
    await writeFile(path, text());
    const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const apiUrl = { text: 'https://10.0.0.9:6443', source: '--kube-api-url' };
    const ways = await Promise.all([
      findAccess({ kubeconfigFile: undefined, apiUrl: undefined }, pod),
      findAccess({ kubeconfigFile: undefined, apiUrl }, pod),
      findAccess({ kubeconfigFile: path, apiUrl: undefined }, pod),
      findAccess({ kubeconfigFile: path, apiUrl }, pod),
    ]);
    expect(ways.map(({ server, token }) => [server.host, token])).toEqual([
      ['10.96.0.1', { file: '/var/run/secrets/kubernetes.io/serviceaccount/token' }],
      ['10.0.0.9:6443', undefined],
      ['10.0.0.1:6443', { text: 'abc' }],
      ['10.0.0.9:6443', { text: 'abc' }],
    ]);
  });

  it('may be JSON, may have no user, and may trust any certificate', async () => {
    const json = {
      'current-context': 'a',
      clusters: [{ name: 'c', cluster: { server: 'https://a', 'insecure-skip-tls-verify': true } }],
      users: null,
      contexts: [{ name: 'a', context: { cluster: 'c', user: '' } }],
    };
    expect(await read(JSON.stringify(json))).toMatchObject({ token: undefined, isVerified: false });
  });

  it.each([
    [
      'exec',
      'exec: { command: aws, apiVersion: v1 }',
      'the user agent has exec',
      'programs that fetch credentials are not run',
    ],
    [
      'auth-provider',
      'auth-provider: { name: gcp }',
      'the user agent has auth-provider',
      'such plug-ins are gone',
    ],
    [
      'a password',
      'username: me\npassword: secret',
      'the user agent has username',
      'API servers take no passwords',
    ],
    ['another identity', 'token: a\nas: admin', 'the user agent has as', 'acting as another user'],
    [
      'a certificate without a key',
      'client-certificate: a',
      'client-certificate and client-key belong together',
      undefined,
    ],
    [
      'data that are no base64',
      'client-certificate-data: "%"\nclient-key: a',
      'client-certificate-data is no base64',
      undefined,
    ],
  ])('with %s is refused', async (_, user, message, hint) => {
    expect(await refusal(text({ user }))).toMatchObject({
      code: 'usage',
      message: `${path}: ${message}`,
      hint: hint === undefined ? undefined : expect.stringContaining(hint),
    });
  });

  it.each([
    ['a proxy', 'server: https://a\nproxy-url: http://p', 'the cluster main has proxy-url'],
    ['no server', 'tls-server-name: a', 'its cluster names no server'],
    [
      'a CA beside no check',
      'server: https://a\ninsecure-skip-tls-verify: true\ncertificate-authority: a',
      'certificate-authority has no use beside insecure-skip-tls-verify',
    ],
    [
      'a server that is no URL',
      'server: "ftp://a"',
      'server: must be a URL such as https://10.0.0.1:6443, is "ftp://a"',
    ],
  ])('with %s is refused', async (_, cluster, message) => {
    expect(await refusal(text({ cluster }))).toMatchObject({ code: 'usage', message: `${path}: ${message}` });
  });

  it.each([
    ['no context', text().replace('current-context: here', ''), 'it names no current-context'],
    [
      'an unknown context',
      text().replace('current-context: here', 'current-context: gone'),
      'it has no context "gone"',
    ],
    ['an unknown cluster', text().replace('cluster: main', 'cluster: gone'), 'it has no cluster "gone"'],
    ['an unknown user', text().replace('main, user: agent', 'main, user: gone'), 'it has no user "gone"'],
    ['no object', '5', 'must be an object with clusters, users and contexts, is 5'],
    ['nothing', '', 'must be an object with clusters, users and contexts, is null'],
    ['a list that is none', text().replace('users:\n-', 'users:\n  x:\n#'), 'not valid YAML'],
    ['a list of texts', 'clusters: [a]', 'clusters.0: must be an object with a name, is "a"'],
    [
      'a server that is a number',
      text({ cluster: 'server: 5' }),
      'clusters.1.cluster.server: must be a text, is 5',
    ],
    ['broken YAML', 'a: [secret', 'not valid YAML: '],
    ['aliases', 'a: &a [x]\nb: [*a, *a]', 'not valid YAML: '],
  ])('with %s is refused in one line', async (_, content, message) => {
    const error = await refusal(content);
    expect(error).toMatchObject({ code: 'usage', message: expect.stringMatching(/^[^\n]+$/) });
    expect((error as Error).message.startsWith(`${path}: ${message}`), (error as Error).message).toBe(true);
    expect((error as Error).message).not.toContain('secret');
  });

  it('that grows for ever, or is missing, is refused', async () => {
    expect(await refusal(Buffer.alloc(LIMITS.kubeconfigBytes + 1, 'a'))).toMatchObject({ code: 'usage' });
    await expect(kubeconfigAccess(join(folder, 'none'))).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('cannot read the kubeconfig'),
    });
    await expect(kubeconfigAccess('/dev/zero')).rejects.toThrow('no regular file');
  });
});
