// Opens the store that the options name. The library of a store is loaded only where that store is used.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { clearTextEndpoints, type KvOptions } from '../model/datastore-options.ts';
import type { Kv } from '../model/kv.ts';
import { StoreRequests } from '../model/store-requests.ts';
import { createKvLeaseStore, type KvLeaseStore } from './kv-lease-store.ts';
import { measureKv } from './measured-kv.ts';

export interface StoreContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

export interface OpenLeaseStore extends KvLeaseStore {
  /** Those to the store so far. */
  readonly requests: StoreRequests;
}

const EXAMPLE = `'{"Network":"10.5.0.0/16"}'`;

/**
 * Opens the datastore that `options` name. An etcd is not asked anything yet, so that it may come up later. Options
 * that cannot work, such as unreadable certificates or a folder without write permission, fail as `datastore` at once.
 */
export async function openLeaseStore(options: KvOptions, context: StoreContext): Promise<OpenLeaseStore> {
  const requests = new StoreRequests(context.clock);
  const kv = measureKv(await openKv(options, context), requests);
  const store = createKvLeaseStore(kv, {
    ...context,
    prefix: options.prefix,
    configHint: configHint(options),
  });
  return { ...store, requests };
}

async function openKv(options: KvOptions, { clock, random, log }: StoreContext): Promise<Kv> {
  if (options.kind === 'file') {
    const { openFileKv } = await import('./file-kv.ts');
    return openFileKv({ directory: options.directory, clock, random });
  }
  const clear = clearTextEndpoints(options);
  if (clear.length > 0) {
    log.warn('the password crosses the network in clear text: use https:// in --etcd-endpoints', {
      endpoints: clear.join(','),
    });
  }
  const { openEtcdKv } = await import('./etcd-kv.ts');
  return openEtcdKv(options, { clock, random });
}

function configHint(options: KvOptions): string {
  const prefix = options.prefix === '/coreos.com/network' ? '' : `--etcd-prefix=${options.prefix} `;
  const where =
    options.kind === 'file'
      ? `--store=file:${options.directory}`
      : `--etcd-endpoints=${options.endpoints.join(',')}`;
  return `twill network set ${where} ${prefix}${EXAMPLE}`;
}
