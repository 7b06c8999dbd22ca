// Etcds that work only in part: a full database, a learner among the members, a user who is named by a certificate.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { EtcdOptions } from '../../agent/model/datastore-options.ts';
import { makeAuthority, makeClientCertificate } from '../lab/certificates.ts';
import { type EtcdServer, freePort, type LabEtcdOptions, startEtcd } from '../lab/etcd.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { ETCD_EXTREMES, etcdOptions } from './beds.ts';
import { attrsOf, follow, leaseStoreOver, next, subnetOf } from './leases.ts';
import { present } from './own-lease-suite.ts';

const PREFIX = '/net';

for (const way of ETCD_EXTREMES) {
  const need = allOf(way.need, needsProgram('openssl'));
  describe.skipIf(need.missing)(title(`an ${way.title} that works in part`, need), () => {
    async function start(options: LabEtcdOptions): Promise<EtcdServer> {
      const server = await startEtcd({ program: way.program, ...options });
      onTestFinished(() => server[Symbol.asyncDispose]());
      return server;
    }
    // `random` of 0 makes the first endpoint the first choice.
    async function open(urls: readonly string[], more: Partial<EtcdOptions> = {}): Promise<KvLeaseStore> {
      const options = etcdOptions(urls, { prefix: PREFIX, ...more });
      const kv = await openEtcdKv(options, { clock: systemClock, random: () => 0 });
      const store = leaseStoreOver(kv, PREFIX);
      onTestFinished(() => store[Symbol.asyncDispose]());
      return store;
    }

    it('a full etcd refuses a claim in one line with the remedy, and renews and tells of leases all the same', async () => {
      const server = await start({ extraArgs: ['--quota-backend-bytes=1000000'] });
      const store = await open([server.url]);
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const filled = async (): Promise<boolean> =>
        server.etcdctl('put', '/filler', 'x'.repeat(100_000)).then(
          () => false,
          (error: unknown) => /space/.test(String(error)),
        );
      while (!(await filled()));
      const events = follow(store);
      expect((await next(events, 'snapshot')).leases).toHaveLength(1);
      await expect(store.claim({ ipv4: subnetOf(2) }, attrsOf(2))).rejects.toMatchObject({
        code: 'datastore',
        message: expect.stringMatching(/cannot open a lease: its database is full, so it refuses writes/),
        hint: expect.stringContaining('etcdctl alarm disarm'),
      });
      expect(await store.renew(held)).toEqual(held);
      await store.release(held);
      await next(events, 'lease-removed');
      expect(events.filter(({ type }) => type === 'disconnected')).toEqual([]);
    });

    it('a learner among the endpoints is passed over, and alone it is named', async () => {
      const peerPorts = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
      const [first = 0, second = 0] = peerPorts;
      const voter = await start({ member: { index: 0, peerPorts: [first] } });
      await voter.etcdctl('member', 'add', 'lab1', '--learner', `--peer-urls=http://127.0.0.1:${second}`);
      const learner = await start({
        member: { index: 1, peerPorts },
        extraArgs: ['--initial-cluster-state=existing'],
      });
      const store = await open([learner.url, voter.url, learner.url]);
      const events = follow(store);
      await next(events, 'snapshot');
      present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      await next(events, 'lease');
      const { error } = await next(follow(await open([learner.url])), 'disconnected');
      expect(error.message).toContain('it is a learner, which serves no clients');
      expect(error.hint).toContain('etcdctl member promote');
    });

    it('a user whom the client certificate names needs no password, and a missing right is named', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'tw-tls-'));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const file = (name: string): string => join(folder, name);
      await makeAuthority(folder, 'ca');
      await makeClientCertificate(folder, 'ca', 'agent');
      await makeClientCertificate(folder, 'ca', 'stranger');
      const tls = {
        caFile: file('ca-ca.pem'),
        certFile: file('ca-server.pem'),
        keyFile: file('ca-server.key'),
      };
      const server = await start({ tls: { ...tls, clientCertAuth: true }, extraArgs: ['--bcrypt-cost=4'] });
      for (const words of [
        'user add root:x',
        'user grant-role root root',
        'user add agent:x',
        'role add agent',
        'user grant-role agent agent',
        `role grant-permission agent readwrite --prefix=true ${PREFIX}/`,
        'auth enable',
      ])
        await server.etcdctl(...words.split(' '));
      const as = (name: string) =>
        open([server.url], {
          caFile: tls.caFile,
          certFile: file(`ca-${name}.pem`),
          keyFile: file(`ca-${name}.key`),
        });
      const store = await as('agent');
      const events = follow(store);
      await next(events, 'snapshot');
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      await next(events, 'lease');
      expect(await store.renew(held)).toEqual(held);
      const { error } = await next(follow(await as('stranger')), 'disconnected');
      expect(error.message).toBe(`etcd at ${server.url}: cannot read ${PREFIX}/config: permission denied`);
      expect(error.hint).toContain(`etcdctl role grant-permission ROLE read ${PREFIX}/config`);
    });
  });
}
