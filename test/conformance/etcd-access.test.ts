// All ways to authenticate at an etcd, and the messages when it refuses us.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import type { EtcdOptions } from '../../agent/model/datastore-options.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { makeAuthority } from '../lab/certificates.ts';
import { type EtcdServer, startEtcd } from '../lab/etcd.ts';
import { run } from '../lab/namespace.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { ETCD_EXTREMES, type EtcdWay, etcdOptions } from './beds.ts';
import { watch } from './watched.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'), needsProgram('openssl'));
const PASSWORD = 'correct horse battery';

async function open(url: string, more: Partial<EtcdOptions> = {}): Promise<Kv> {
  const kv = await openEtcdKv(etcdOptions([url], more), { clock: systemClock, random: systemRandom });
  onTestFinished(() => kv[Symbol.asyncDispose]());
  return kv;
}

describe.skipIf(need.missing)(title('an etcd that speaks TLS', need), () => {
  let folder: string;
  let plain: EtcdServer;
  let lenient: EtcdServer;
  let strict: EtcdServer;
  const file = (name: string): string => join(folder, name);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tw-tls-'));
    await makeAuthority(folder, 'good');
    await makeAuthority(folder, 'bad');
    await writeFile(file('nonsense.pem'), 'not a certificate\n');
    const tls = {
      caFile: file('good-ca.pem'),
      certFile: file('good-server.pem'),
      keyFile: file('good-server.key'),
    };
    [plain, lenient, strict] = await Promise.all([
      startEtcd(),
      startEtcd({ tls: { ...tls, clientCertAuth: false } }),
      startEtcd({ tls: { ...tls, clientCertAuth: true } }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([plain, lenient, strict].map((server) => server?.[Symbol.asyncDispose]()));
    await rm(folder, { recursive: true, force: true });
  });

  it('an etcd with TLS accepts a client that knows its CA', async () => {
    const kv = await open(lenient.url, { caFile: file('good-ca.pem') });
    expect(await kv.create('/ca-alone', 'x', undefined)).toBeDefined();
  });

  it('an etcd with TLS accepts a client with a certificate of its CA', async () => {
    const kv = await open(strict.url, {
      caFile: file('good-ca.pem'),
      certFile: file('good-server.pem'),
      keyFile: file('good-server.key'),
    });
    const listing = await kv.list('/');
    const watched = await watch(kv, '/', listing.revision + 1);
    await kv.create('/certificate', 'x', await kv.openSession(60));
    await watched.sees('/certificate', 'x');
  });

  const refusals: readonly {
    readonly title: string;
    readonly url: () => string;
    readonly files?: () => Partial<EtcdOptions>;
    readonly message: RegExp;
    readonly hint: RegExp;
  }[] = [
    {
      title: 'an unknown CA',
      url: () => lenient.url,
      message: /not signed by a known CA/,
      hint: /--etcd-cafile/,
    },
    {
      title: 'another CA',
      url: () => lenient.url,
      files: () => ({ caFile: file('bad-ca.pem') }),
      message: /not signed by a known CA/,
      hint: /--etcd-cafile/,
    },
    {
      title: 'a name that the certificate does not have',
      url: () => lenient.url.replace('127.0.0.1', 'localhost'),
      files: () => ({ caFile: file('good-ca.pem') }),
      message: /for another name or address/,
      hint: /endpoint that the certificate names/,
    },
    {
      title: 'no client certificate, but one is required',
      url: () => strict.url,
      files: () => ({ caFile: file('good-ca.pem') }),
      message: /refuses our client certificate, or requires one/,
      hint: /--etcd-certfile/,
    },
    {
      title: 'a client certificate of another CA',
      url: () => strict.url,
      files: () => ({
        caFile: file('good-ca.pem'),
        certFile: file('bad-server.pem'),
        keyFile: file('bad-server.key'),
      }),
      message: /refuses our client certificate, or requires one/,
      hint: /--etcd-certfile/,
    },
    {
      title: 'https at a server that speaks http',
      url: () => plain.url.replace('http:', 'https:'),
      // The connection may be reset before the server's refusal is read.
      message: /does not speak TLS|reset the connection/,
      hint: /http:\/\//,
    },
    {
      title: 'http at a server that speaks https',
      url: () => lenient.url.replace('https:', 'http:'),
      message: /closes the connection at once/,
      hint: /https:\/\//,
    },
  ];
  for (const { title: name, url, files, message, hint } of refusals) {
    it(`a refused TLS connection is reported in one line: ${name}`, async () => {
      const kv = await open(url(), files?.());
      const error: unknown = await kv.list('/').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'datastore',
        message: expect.stringMatching(message),
        hint: expect.stringMatching(hint),
      });
      expect((error as Error).message).toContain(url());
      expect((error as Error).message).not.toContain('\n');
    });
  }

  it('an etcd is not asked when a file cannot be read or used, and the error names the file', async () => {
    await expect(open(lenient.url, { caFile: file('missing.pem') })).rejects.toMatchObject({
      code: 'datastore',
      message: expect.stringContaining(`cannot read --etcd-cafile ${file('missing.pem')}`),
    });
    await expect(
      open(lenient.url, { certFile: file('good-server.pem'), keyFile: file('bad-server.key') }),
    ).rejects.toMatchObject({
      code: 'datastore',
      message: expect.stringContaining('cannot use the files for TLS'),
    });
    await expect(open(lenient.url, { caFile: file('nonsense.pem') })).rejects.toMatchObject({
      code: 'datastore',
      message: expect.stringContaining(`--etcd-cafile ${file('nonsense.pem')} is not a certificate`),
    });
  });
});

for (const way of ETCD_EXTREMES) describeUsers(way);

function describeUsers(way: EtcdWay): void {
  describe.skipIf(way.need.missing)(title(`${way.title} with users`, way.need), () => {
    let server: EtcdServer;
    beforeAll(async () => {
      server = await startEtcd({
        program: way.program,
        extraArgs: ['--auth-token-ttl=1', '--bcrypt-cost=4'],
      });
      await server.etcdctl('user', 'add', `root:${PASSWORD}`);
      await server.etcdctl('user', 'add', `agent:${PASSWORD}`);
      await server.etcdctl('user', 'add', `guest:${PASSWORD}`);
      await server.etcdctl('role', 'add', 'network');
      await server.etcdctl('role', 'grant-permission', '--prefix=true', 'network', 'readwrite', '/net/');
      await server.etcdctl('user', 'grant-role', 'agent', 'network');
      await server.etcdctl('user', 'grant-role', 'root', 'root');
      await server.etcdctl('auth', 'enable');
    });
    afterAll(() => server?.[Symbol.asyncDispose]());

    it('an etcd with users accepts a user with the right password, for every operation of a lease', async () => {
      const kv = await open(server.url, { username: 'agent', password: PASSWORD });
      const listing = await kv.list('/net/');
      const watched = await watch(kv, '/net/', listing.revision + 1);
      const session = await kv.openSession(60);
      await kv.create('/net/a', 'x', session);
      await watched.sees('/net/a', 'x');
      expect(await kv.keepAlive(session)).toBe(60);
      await kv.closeSession(session);
      await watched.sees('/net/a', undefined);
    });

    it('a client logs in again when its token has expired, also for a watch', async () => {
      const kv = await open(server.url, { username: 'agent', password: PASSWORD });
      await kv.get('/net/a');
      await systemClock.sleep(2_100);
      expect(await kv.get('/net/a')).toBeUndefined();
      await systemClock.sleep(2_100);
      await waitFor('a new watch', 5_000, async () => {
        const watched = await watch(kv, '/net/', 1);
        return watched.outcome() === undefined;
      });
    });

    it('a client logs in again after a restart of etcd, which loses all tokens', async () => {
      const kv = await open(server.url, { username: 'agent', password: PASSWORD });
      await kv.get('/net/a');
      await server.stop();
      await server.start();
      await waitFor('an answer', 5_000, () =>
        kv.get('/net/a').then(
          () => true,
          () => false,
        ),
      );
    });

    const refusals = [
      {
        who: 'a wrong password',
        username: 'agent',
        password: 'incorrect horse',
        why: /wrong user name or password/,
      },
      { who: 'an unknown user', username: 'nobody', password: PASSWORD, why: /wrong user name or password/ },
      {
        who: 'no user',
        username: undefined,
        password: undefined,
        why: /requires a user name and a password/,
      },
      { who: 'a user without rights', username: 'guest', password: PASSWORD, why: /permission denied/ },
    ];
    for (const { who, username, password, why } of refusals) {
      it(`a refused login is reported in one line without the password: ${who}`, async () => {
        const kv = await open(server.url, { username, password });
        const error: unknown = await kv.list('/net/').catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'datastore', message: expect.stringMatching(why) });
        expect(error).toHaveProperty('hint', expect.stringMatching(/--etcd-username|role/));
        expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('horse');
      });
    }

    it('an etcd with users refuses a watch without permission, and the error says so', async () => {
      const kv = await open(server.url, { username: 'guest', password: PASSWORD });
      const watched = await watch(kv, '/net/', 1);
      await waitFor('the refusal', 5_000, () => watched.outcome() !== undefined);
      expect(watched.outcome()).toMatchObject({
        code: 'datastore',
        message: expect.stringMatching(/permission denied/),
      });
    });

    it('an etcd with authentication off ignores user and password', async () => {
      await using unguarded = await startEtcd();
      const kv = await open(unguarded.url, { username: 'agent', password: PASSWORD });
      expect((await kv.list('/')).entries).toEqual([]);
    });
  });
}

describe.skipIf(need.missing)(title('an etcd whose tokens are signed', need), () => {
  it('a client logs in again when its signed token has expired', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tw-jwt-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [key, publicKey] = [join(folder, 'key'), join(folder, 'public')];
    await run(['openssl', 'genrsa', '-out', key, '2048']);
    await run(['openssl', 'rsa', '-in', key, '-pubout', '-out', publicKey]);
    const token = `jwt,pub-key=${publicKey},priv-key=${key},sign-method=RS256,ttl=3s`;
    await using server = await startEtcd({ extraArgs: [`--auth-token=${token}`, '--bcrypt-cost=4'] });
    await server.etcdctl('user', 'add', `root:${PASSWORD}`);
    await server.etcdctl('user', 'grant-role', 'root', 'root');
    await server.etcdctl('auth', 'enable');
    const kv = await open(server.url, { username: 'root', password: PASSWORD });
    const watched = await watch(kv, '/net/', (await kv.list('/net/')).revision + 1);
    await systemClock.sleep(4_100);
    await kv.create('/net/a', 'x', await kv.openSession(60));
    // The watch began with the expired token.
    await watched.sees('/net/a', 'x');
    expect(watched.outcome()).toBeUndefined();
  });
});
