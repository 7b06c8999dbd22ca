// The store over an etcd that goes away, comes back, freezes or loses data.
//
//     store ──► proxy ──► etcd ◄── other, etcdctl
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { type EtcdServer, freePort, startEtcd } from '../lab/etcd.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { etcdOptions } from './beds.ts';
import { attrsOf, follow, leaseStoreOver, next, subnetOf } from './leases.ts';
import { type Proxy, startProxy } from './proxy.ts';
import { watch } from './watched.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

describe.skipIf(need.missing)(title('the store over an etcd with faults', need), () => {
  let server: EtcdServer;
  let port: number;
  let other: Kv;
  let prefix: string;
  let tests = 0;
  beforeAll(async () => {
    server = await startEtcd();
    port = Number(new URL(server.url).port);
    other = await openEtcdKv(etcdOptions([server.url]), { clock: systemClock, random: systemRandom });
  });
  afterAll(async () => {
    await other?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    tests += 1;
    prefix = `/net${tests}`;
  });

  async function proxy(): Promise<Proxy> {
    const made = await startProxy(port);
    onTestFinished(() => made[Symbol.asyncDispose]());
    return made;
  }
  // `random` of 0 makes the first endpoint the first choice.
  async function open(ports: readonly number[]): Promise<Kv> {
    const endpoints = ports.map((each) => `http://127.0.0.1:${each}`);
    const kv = await openEtcdKv(etcdOptions(endpoints), { clock: systemClock, random: () => 0 });
    onTestFinished(() => kv[Symbol.asyncDispose]());
    return kv;
  }
  async function timed<T>(work: Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
    const from = systemClock.monotonicMs();
    return { value: await work, ms: systemClock.monotonicMs() - from };
  }

  it('the store reports an unreachable server in one line, and works as soon as it is reachable', async () => {
    const between = await proxy();
    await between.cut();
    const kv = await open([between.port]);
    const from = systemClock.monotonicMs();
    await expect(kv.get('/a')).rejects.toMatchObject({
      code: 'datastore',
      message: `etcd at http://127.0.0.1:${between.port}: cannot read /a: connect ECONNREFUSED 127.0.0.1:${between.port}`,
      hint: expect.stringContaining('check that etcd runs there'),
    });
    expect(systemClock.monotonicMs() - from).toBeLessThan(1_000);
    await between.mend();
    for (;;) {
      const answer = await kv.get('/a').catch(() => 'not yet');
      if (answer !== 'not yet') break;
      expect(systemClock.monotonicMs() - from).toBeLessThan(5_000);
      await systemClock.sleep(20);
    }
  });

  it('the store names all endpoints if none answers', async () => {
    const ports = [await freePort('127.0.0.1'), await freePort('127.0.0.1')] as const;
    const kv = await open(ports);
    const { value, ms } = await timed(kv.list('/a').catch((error: Error) => error));
    expect(value).toMatchObject({
      code: 'datastore',
      message: expect.stringContaining(
        `etcd at http://127.0.0.1:${ports[0]}, http://127.0.0.1:${ports[1]}: `,
      ),
    });
    expect(ms).toBeLessThan(1_500);
  });

  it('the store starts within a second if some endpoints refuse or never answer', async () => {
    const silent = await proxy();
    silent.swallow();
    const kv = await open([await freePort('127.0.0.1'), silent.port, port]);
    const { value, ms } = await timed(kv.list(prefix));
    expect(value.entries).toEqual([]);
    expect(ms).toBeLessThan(1_000);
  });

  it('the store asks another server in the same operation if the current one is cut off or silent', async () => {
    const first = await proxy();
    const second = await proxy();
    const kv = await open([first.port, second.port]);
    await kv.create(`${prefix}/a`, '1', undefined);
    expect(first.connections).toBeGreaterThan(0);
    await first.cut();
    const cut = await timed(kv.create(`${prefix}/b`, '2', undefined));
    expect(cut.value).toBeDefined();
    expect(cut.ms).toBeLessThan(1_000);
    await first.mend();
    second.swallow();
    const silent = await timed(kv.create(`${prefix}/c`, '3', undefined));
    expect(silent.value).toBeDefined();
    expect(silent.ms).toBeLessThan(5_000);
  });

  it('the store recognises its own write if only the answer was lost', async () => {
    const first = await proxy();
    const second = await proxy();
    const kv = await open([first.port, second.port]);
    const session = await kv.openSession(60);
    first.swallowAnswers();
    const made = await kv.create(`${prefix}/a`, 'mine', session);
    expect(made).toEqual(await other.get(`${prefix}/a`));
    expect(made).toMatchObject({ value: 'mine', session });
    expect(await kv.create(`${prefix}/a`, 'mine', session)).toBeUndefined();
  });

  it('the store ends an operation at its time limit if the only server is silent', {
    timeout: 20_000,
  }, async () => {
    const silent = await proxy();
    const kv = await open([silent.port]);
    await kv.get('/a');
    silent.swallow();
    const { value, ms } = await timed(kv.get('/a').catch((error: Error) => error));
    expect(value).toMatchObject({ code: 'datastore', message: expect.stringContaining('no answer within') });
    expect(ms).toBeLessThan(6_000);
  });

  it('the store ends an aborted operation at once', async () => {
    const silent = await proxy();
    const kv = await open([silent.port]);
    await kv.get('/a');
    silent.swallow();
    const stop = new AbortController();
    const reading = timed(kv.get('/a', stop.signal).catch((error: Error) => error.message));
    stop.abort(new Error('stopped'));
    const { value, ms } = await reading;
    expect(value).toBe('stopped');
    expect(ms).toBeLessThan(500);
  });

  it('the store delivers the changes of a lost connection without a second listing', async () => {
    const between = await proxy();
    await leaseStoreOver(other, prefix).claim({ ipv4: subnetOf(9) }, attrsOf(9));
    const events = follow(leaseStoreOver(await open([between.port]), prefix));
    await next(events, 'snapshot');
    await between.cut();
    await next(events, 'disconnected');
    await leaseStoreOver(other, prefix).claim({ ipv4: subnetOf(1) }, attrsOf(1));
    await between.mend();
    await next(events, 'connected');
    expect((await next(events, 'lease')).lease.subnets.ipv4).toEqual(subnetOf(1));
    expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
  });

  it('the store gives a fresh snapshot if history was compacted while the connection was lost', async () => {
    const between = await proxy();
    const events = follow(leaseStoreOver(await open([between.port]), prefix));
    await next(events, 'snapshot');
    await between.cut();
    await next(events, 'disconnected');
    await leaseStoreOver(other, prefix).claim({ ipv4: subnetOf(1) }, attrsOf(1));
    await other.create(`${prefix}/x`, 'x', undefined);
    await server.compact();
    await between.mend();
    const { leases } = await next(events, 'snapshot', 1);
    expect(leases.map(({ subnets }) => subnets.ipv4)).toEqual([subnetOf(1)]);
  });

  it('the store notices within 15 seconds that a connection swallows everything', {
    timeout: 40_000,
  }, async () => {
    const between = await proxy();
    const store = leaseStoreOver(await open([between.port]), prefix);
    const events = follow(store);
    await store.config.write('{}');
    await next(events, 'snapshot');
    await store.claim({ ipv4: subnetOf(2) }, attrsOf(2));
    await next(events, 'lease');
    between.swallow();
    const from = systemClock.monotonicMs();
    while (!events.some(({ type }) => type === 'disconnected')) {
      expect(systemClock.monotonicMs() - from).toBeLessThan(15_000);
      await systemClock.sleep(50);
    }
    const before = events.length;
    await leaseStoreOver(other, prefix).claim({ ipv4: subnetOf(1) }, attrsOf(1));
    await between.mend();
    expect((await next(events, 'lease', before)).lease.subnets.ipv4).toEqual(subnetOf(1));
  });

  it('the store goes on after etcd is restarted on its data', { timeout: 40_000 }, async () => {
    const kv = await open([port]);
    const store = leaseStoreOver(kv, prefix);
    const events = follow(store);
    await next(events, 'snapshot');
    const held = await store.claim({ ipv4: subnetOf(1) }, attrsOf(1));
    if (held === undefined) throw new Error('not claimed');
    await next(events, 'lease');
    await server.stop();
    await next(events, 'disconnected');
    await expect(store.renew(held)).rejects.toMatchObject({ code: 'datastore' });
    await server.start();
    await next(events, 'connected');
    expect(await store.renew(held)).toEqual(held);
    const before = events.length;
    await store.claim({ ipv4: subnetOf(2) }, attrsOf(1));
    expect((await next(events, 'lease', before)).lease.subnets.ipv4).toEqual(subnetOf(2));
    expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
  });

  it('the store gives a fresh snapshot after etcd lost its data and got new data', {
    timeout: 40_000,
  }, async () => {
    const own = await startEtcd();
    onTestFinished(() => own[Symbol.asyncDispose]());
    const between = await startProxy(Number(new URL(own.url).port));
    onTestFinished(() => between[Symbol.asyncDispose]());
    const direct = leaseStoreOver(await open([Number(new URL(own.url).port)]), prefix);
    await direct.claim({ ipv4: subnetOf(1) }, attrsOf(1));
    const events = follow(leaseStoreOver(await open([between.port]), prefix));
    await next(events, 'snapshot');
    await between.cut();
    await next(events, 'disconnected');
    await own.wipe();
    await own.start();
    // The new history passes the old revision.
    for (const n of [1, 2, 3]) await direct.claim({ ipv4: subnetOf(n) }, attrsOf(n));
    await between.mend();
    expect((await next(events, 'snapshot', 1)).leases).toHaveLength(3);
    expect(events.filter(({ type }) => type === 'lease')).toEqual([]);
  });

  it('the store refuses a watch at a cluster other than the listed one', async () => {
    const first = await proxy();
    const another = await startEtcd();
    onTestFinished(() => another[Symbol.asyncDispose]());
    const kv = await open([first.port, Number(new URL(another.url).port)]);
    await kv.list(prefix);
    await first.cut();
    // A read notices that the first one is gone.
    await kv.get(prefix);
    const watched = await watch(kv, prefix, 2);
    expect(watched.outcome()).toMatchObject({ name: 'HistoryLost', message: 'another etcd cluster answers' });
  });

  it('the store binds no etcd lease to a reservation that etcdctl wrote', async () => {
    const key = `${prefix}/subnets/10.0.1.0-24`;
    await server.etcdctl('put', key, '{"PublicIP":"192.168.0.1","BackendType":"vxlan"}');
    const store = leaseStoreOver(await open([port]), prefix);
    const lease = (await next(follow(store), 'snapshot')).leases[0];
    if (lease === undefined) throw new Error('no lease');
    const held = await store.adopt(lease, attrsOf(1));
    if (held === undefined) throw new Error('not adopted');
    await store.renew(held);
    await store.release(held);
    const found: unknown = JSON.parse(await server.etcdctl('get', key, '--write-out=json'));
    const [kvs] = (found as { kvs: { lease?: number; value: string }[] }).kvs;
    expect(kvs).not.toHaveProperty('lease');
    expect(Buffer.from(kvs?.value ?? '', 'base64').toString()).toContain('"Node"');
  });
});
