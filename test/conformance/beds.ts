// The stores that the conformance suites test.
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import { openFileKv } from '../../agent/datastore/file-kv.ts';
import { LIMITS } from '../../agent/datastore/limits.ts';
import type { EtcdOptions } from '../../agent/model/datastore-options.ts';
import { type EtcdServer, startEtcd } from '../lab/etcd.ts';
import { type EtcdProxyKind, startEtcdProxy } from '../lab/etcd-proxy.ts';
import { BUILT_VERSIONS, type BuiltVersion, etcdBuildFailure, etcdProgram } from '../lab/etcd-versions.ts';
import { allOf, type Need, needsProgram } from '../support/needs.ts';
import type { KvBed } from './kv-suite.ts';

const machine = { clock: systemClock, random: systemRandom };

/** Options of an etcd at `endpoints`, and those of `more`. */
export function etcdOptions(endpoints: readonly string[], more: Partial<EtcdOptions> = {}): EtcdOptions {
  return {
    kind: 'etcd',
    endpoints,
    prefix: '/coreos.com/network',
    caFile: undefined,
    certFile: undefined,
    keyFile: undefined,
    username: undefined,
    password: undefined,
    ...more,
  };
}

/** A store in a folder of its own. */
export async function fileBed(): Promise<KvBed & { readonly directory: string }> {
  const parent = await mkdtemp(join(tmpdir(), 'tw-store-'));
  const directory = join(parent, 'store');
  const open = () => openFileKv({ directory, ...machine });
  return {
    directory,
    open,
    async compact() {
      await using kv = await open();
      for (let i = 0; i <= LIMITS.fileStoreHistory; ) {
        const entry = await kv.create('/filler', 'x', undefined);
        if (entry !== undefined) await kv.delete(entry);
        i += 2;
      }
    },
    async wipe() {
      // Like a folder that was removed and made again, except that an agent never finds it missing.
      for (const name of await readdir(directory)) {
        if (name !== 'sessions') await rm(join(directory, name), { force: true });
      }
      for (const name of await readdir(join(directory, 'sessions'))) {
        await rm(join(directory, 'sessions', name), { force: true });
      }
    },
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  };
}

/** The ways to an etcd that the suites take. */
export interface EtcdWay {
  readonly title: string;
  readonly need: Need;
  readonly program: string;
  /** What stands in between; undefined: nothing. */
  readonly proxy: EtcdProxyKind | undefined;
}

const installed = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

/** The installed etcd, plain or behind a proxy. */
function wayOf(proxy: EtcdProxyKind | undefined): EtcdWay {
  return {
    title: proxy === undefined ? 'etcd' : `etcd behind its ${proxy}`,
    need: installed,
    program: 'etcd',
    proxy,
  };
}

/** A built version, plain or behind a proxy of the same version. */
async function builtWayOf(version: BuiltVersion, proxy?: EtcdProxyKind): Promise<EtcdWay> {
  const program = etcdProgram(version);
  const why = (await etcdBuildFailure(version)) ?? 'run npm test -- conformance, which builds it';
  const built: Need = { missing: !existsSync(program), reason: `needs a build of etcd ${version}: ${why}` };
  const behind = proxy === undefined ? '' : ` behind its ${proxy}`;
  return { title: `etcd ${version}${behind}`, need: allOf(installed, built), program, proxy };
}

/** Each version of etcd without anything in between. */
export const ETCD_VERSIONS: readonly EtcdWay[] = [
  wayOf(undefined),
  ...(await Promise.all(BUILT_VERSIONS.map((version) => builtWayOf(version)))),
];

/** The installed version, which is old, and the newest one. */
export const ETCD_EXTREMES: readonly EtcdWay[] = [wayOf(undefined), await builtWayOf(BUILT_VERSIONS[2])];

/** Etcds behind a proxy of their version. */
export const ETCD_PROXIES: readonly EtcdWay[] = [
  wayOf('grpc-proxy'),
  wayOf('gateway'),
  await builtWayOf('3.6.16', 'grpc-proxy'),
];

/** A new etcd. */
export async function etcdBed({ program, proxy }: EtcdWay): Promise<KvBed & { readonly server: EtcdServer }> {
  const server = await startEtcd({ program });
  const between = proxy === undefined ? undefined : await startEtcdProxy(proxy, [server.url], program);
  return {
    server,
    open: () => openEtcdKv(etcdOptions([between?.url ?? server.url]), machine),
    compact: () => server.compact(),
    async wipe() {
      await server.wipe();
      await server.start();
    },
    async [Symbol.asyncDispose]() {
      await between?.[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
