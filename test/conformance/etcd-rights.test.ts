// An etcd with users whose roles have the rights that flannel needs, or fewer: to the configuration and the leases of
// one network, and to nothing else.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import { type EtcdServer, startEtcd } from '../lab/etcd.ts';
import { title } from '../support/needs.ts';
import { ETCD_VERSIONS, etcdOptions } from './beds.ts';
import { attrsOf, follow, leaseStoreOver, next, subnetOf } from './leases.ts';
import { present } from './own-lease-suite.ts';

const PASSWORD = 'secret';
const CONFIG = '{"Network":"10.0.0.0/8"}';

for (const way of ETCD_VERSIONS) {
  describe.skipIf(way.need.missing)(title(`the rights of a user of ${way.title}`, way.need), () => {
    let server: EtcdServer;
    let prefix: string;
    let user: string;
    let tests = 0;
    const asRoot = (...args: string[]): Promise<string> => server.etcdctl(`--user=root:${PASSWORD}`, ...args);
    beforeAll(async () => {
      server = await startEtcd({ program: way.program, extraArgs: ['--bcrypt-cost=4'] });
      await server.etcdctl('user', 'add', `root:${PASSWORD}`);
      await server.etcdctl('user', 'grant-role', 'root', 'root');
      await server.etcdctl('auth', 'enable');
    });
    afterAll(() => server?.[Symbol.asyncDispose]());
    beforeEach(async () => {
      tests += 1;
      prefix = `/company/net${tests}`;
      user = `agent${tests}`;
      await asRoot('role', 'add', user);
      await asRoot('user', 'add', `${user}:${PASSWORD}`);
      await asRoot('put', `${prefix}/config`, CONFIG);
    });

    const grant = (...right: string[]): Promise<string> => asRoot('role', 'grant-permission', user, ...right);
    const grantConfig = (): Promise<string> => grant('read', `${prefix}/config`);
    const grantLeases = (): Promise<string> => grant('readwrite', '--prefix=true', `${prefix}/subnets/`);
    const join = (): Promise<string> => asRoot('user', 'grant-role', user, user);
    async function open(): Promise<KvLeaseStore> {
      const options = etcdOptions([server.url], { prefix, username: user, password: PASSWORD });
      const store = leaseStoreOver(
        await openEtcdKv(options, { clock: systemClock, random: systemRandom }),
        prefix,
      );
      onTestFinished(() => store[Symbol.asyncDispose]());
      return store;
    }
    const command = (right: string): string =>
      `give a role of the user this right: etcdctl role grant-permission ROLE ${right}`;

    it('a role that reads the configuration, and reads and writes the leases, is enough for a node', async () => {
      await grantConfig();
      await grantLeases();
      await join();
      const store = await open();
      const events = follow(store);
      expect(await next(events, 'snapshot')).toMatchObject({ config: CONFIG, leases: [] });
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      expect((await next(events, 'lease')).lease).toEqual(held.lease);
      expect(await store.claim({ ipv4: subnetOf(1) }, attrsOf(2))).toBeUndefined();
      expect(await store.renew(held)).toEqual(held);
      const moved = attrsOf(1, { publicIP: { ipv4: '192.168.9.9' } });
      const written = present(await store.repair(held, moved));
      const adopted = present(await store.adopt(written.lease, moved));
      await asRoot('put', `${prefix}/config`, '{}');
      expect((await next(events, 'config')).text).toBe('{}');
      const seen = events.length;
      store.reconnect();
      await next(events, 'connected', seen);
      await store.release(adopted);
      await next(events, 'lease-removed');
      expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
    });

    it('a node reads all it needs in one request, and watches it in another one, by the count of the server', async () => {
      await grantConfig();
      await grantLeases();
      await join();
      const count = async (method: string): Promise<number> => {
        const page = await (await fetch(`${server.url}/metrics`)).text();
        const found = new RegExp(
          `^grpc_server_started_total{grpc_method="${method}",grpc_service="etcd.*} (\\d+)$`,
          'm',
        );
        return Number(found.exec(page)?.[1]);
      };
      const counts = async () => [await count('Txn'), await count('Range'), await count('Watch')];
      const before = await counts();
      const events = follow(await open());
      await next(events, 'snapshot');
      await asRoot('del', `${prefix}/config`);
      await next(events, 'config');
      expect((await counts()).map((now, i) => now - (before[i] ?? 0))).toEqual([1, 0, 1]);
    });

    it('a missing right to the configuration is named, and its grant is all that a running node needs', async () => {
      await grantLeases();
      await join();
      const events = follow(await open());
      const { error } = await next(events, 'disconnected');
      expect(error.message).toBe(`etcd at ${server.url}: cannot read ${prefix}/config: permission denied`);
      expect(error.hint).toBe(command(`read ${prefix}/config`));
      await grantConfig();
      expect((await next(events, 'snapshot')).config).toBe(CONFIG);
    });

    it('a missing right to the leases is named, and its grant is all that a running node needs', async () => {
      await grantConfig();
      await join();
      const events = follow(await open());
      const { error } = await next(events, 'disconnected');
      expect(error.message).toBe(`etcd at ${server.url}: cannot read ${prefix}/subnets/: permission denied`);
      expect(error.hint).toBe(command(`readwrite --prefix=true ${prefix}/subnets/`));
      await grantLeases();
      expect((await next(events, 'snapshot')).config).toBe(CONFIG);
    });

    it('a user without a role is refused in one line, and a role is all that a running node needs', async () => {
      await grantConfig();
      await grantLeases();
      const events = follow(await open());
      const { error } = await next(events, 'disconnected');
      expect(error.message).toMatch(/: cannot read \S+: permission denied$/);
      await join();
      expect((await next(events, 'snapshot')).config).toBe(CONFIG);
    });

    it('a missing right to write leases is named at the claim, and its grant is enough', async () => {
      await grantConfig();
      await grant('read', '--prefix=true', `${prefix}/subnets/`);
      await join();
      const store = await open();
      await next(follow(store), 'snapshot');
      const claim = () => store.claim({ ipv4: subnetOf(1) }, attrsOf(1));
      await expect(claim()).rejects.toMatchObject({
        message: `etcd at ${server.url}: cannot create ${prefix}/subnets/10.0.1.0-24: permission denied`,
        hint: command(`readwrite --prefix=true ${prefix}/subnets/`),
      });
      await grantLeases();
      present(await claim());
    });

    it('a missing right to write the configuration is named', async () => {
      await grantConfig();
      await grantLeases();
      await join();
      await expect((await open()).config.write('{}')).rejects.toMatchObject({
        message: `etcd at ${server.url}: cannot update ${prefix}/config: permission denied`,
        hint: command(`readwrite ${prefix}/config`),
      });
    });

    it('rights that are withdrawn from a running node are named, and it goes on when they are back', async () => {
      await grantConfig();
      await grantLeases();
      await join();
      const store = await open();
      const events = follow(store);
      await next(events, 'snapshot');
      present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      await next(events, 'lease');
      await asRoot('role', 'revoke-permission', user, `${prefix}/config`);
      store.reconnect();
      const refused = (): boolean =>
        events.some(
          (event) => event.type === 'disconnected' && /permission denied/.test(event.error.message),
        );
      while (!refused()) await systemClock.sleep(20);
      const before = events.length;
      await grantConfig();
      await next(events, 'connected', before);
      const last = present(await store.claim({ ipv4: subnetOf(2) }, attrsOf(1)));
      expect((await next(events, 'lease', before)).lease).toEqual(last.lease);
    });
  });
}
