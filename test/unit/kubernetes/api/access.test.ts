import { describe, expect, it } from 'vitest';
import { parseServer, podAccess, readToken } from '../../../../agent/kubernetes/api/access.ts';

describe('the access of a pod', () => {
  it.each([
    ['10.96.0.1', '443', 'https://10.96.0.1/'],
    ['fd00::1', '6443', 'https://[fd00::1]:6443/'],
    ['api.local', '6443', 'https://api.local:6443/'],
  ])('is at %s port %s with the files of the ServiceAccount', (host, port, server) => {
    const access = podAccess({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port });
    expect({ ...access, server: access.server.href }).toEqual({
      server,
      ca: { file: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt' },
      token: { file: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
      client: undefined,
      serverName: undefined,
      isVerified: true,
    });
  });

  it.each([{}, { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, { KUBERNETES_SERVICE_PORT: '443' }])(
    'does not exist outside of a pod: %j',
    (env) => {
      expect(() => podAccess(env)).toThrow(
        expect.objectContaining({ code: 'usage', hint: expect.stringContaining('--kubeconfig-file') }),
      );
    },
  );
});

describe('the URL of a server', () => {
  it.each([
    ['https://10.0.0.1:6443', false, 'https://10.0.0.1:6443/'],
    ['http://127.0.0.1:8080', true, 'http://127.0.0.1:8080/'],
    ['10.0.0.1:8080', false, 'http://10.0.0.1:8080/'],
    ['10.0.0.1:6443', true, 'https://10.0.0.1:6443/'],
    ['https://rancher/k8s/clusters/c-1', true, 'https://rancher/k8s/clusters/c-1'],
    ['https://[fd00::1]:6443', true, 'https://[fd00::1]:6443/'],
  ])('%s, with TLS %s, is %s', (text, isTls, href) => {
    expect(parseServer(text, 'server', isTls).href).toBe(href);
  });

  it.each(['', 'ftp://a', 'https://', 'https://a:b:c', 'https://a?b', 'https://a#b'])(
    'cannot be %j',
    (text) => {
      expect(() => parseServer(text, '--kube-api-url')).toThrow(
        /^--kube-api-url: must be a URL such as .*, is "/,
      );
    },
  );

  it('with a password is refused, and the password is not told', () => {
    expect(() => parseServer('https://me:secret@a', '--kube-api-url')).toThrow(
      '--kube-api-url: must be a URL such as https://10.0.0.1:6443, is "https://…@a"',
    );
  });
});

describe('a token', () => {
  it('is refused without being told where it holds a line end or other signs', async () => {
    for (const text of ['secret\nx: y', 'secret ü', 'secret\0'])
      await expect(readToken({ text })).rejects.toThrow(/^the token is not one of printable characters$/);
  });
});
