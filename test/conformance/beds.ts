// The stores that the conformance suites test.
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

/** A new etcd. */
export async function etcdBed(): Promise<KvBed & { readonly server: EtcdServer }> {
  const server = await startEtcd();
  return {
    server,
    open: () => openEtcdKv(etcdOptions([server.url]), machine),
    compact: () => server.compact(),
    async wipe() {
      await server.wipe();
      await server.start();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
