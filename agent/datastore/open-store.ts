// From options to a lease store. Libraries of a store are loaded only when that store is asked for.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { DatastoreOptions } from '../model/datastore-options.ts';
import type { Kv } from '../model/kv.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import { createKvLeaseStore } from './kv-lease-store.ts';

/** What every store needs. */
export interface StoreContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

const EXAMPLE = `'{"Network":"10.5.0.0/16"}'`;

/**
 * Opens the datastore that `options` name. An etcd is not asked anything yet, so that it may come up later; options
 * that cannot work (unreadable certificates, a folder that cannot be written) fail as `datastore` at once.
 */
export async function openLeaseStore(options: DatastoreOptions, context: StoreContext): Promise<LeaseStore> {
  return createKvLeaseStore(await openKv(options, context), {
    ...context,
    prefix: options.prefix,
    configHint: configHint(options),
  });
}

async function openKv(options: DatastoreOptions, { clock, random }: StoreContext): Promise<Kv> {
  if (options.kind === 'file') {
    const { openFileKv } = await import('./file-kv.ts');
    return openFileKv({ directory: options.directory, clock, random });
  }
  const { openEtcdKv } = await import('./etcd-kv.ts');
  return openEtcdKv(options, { clock, random });
}

function configHint(options: DatastoreOptions): string {
  const prefix = options.prefix === '/coreos.com/network' ? '' : `--etcd-prefix=${options.prefix} `;
  const where =
    options.kind === 'file'
      ? `--store=file:${options.directory}`
      : `--etcd-endpoints=${options.endpoints.join(',')}`;
  return `twill network set ${where} ${prefix}${EXAMPLE}`;
}
