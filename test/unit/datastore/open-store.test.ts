import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { openLeaseStore } from '../../../agent/datastore/open-store.ts';
import type { EtcdOptions } from '../../../agent/model/datastore-options.ts';
import { captureLog } from '../../support/capture-log.ts';

const OPTIONS: EtcdOptions = {
  kind: 'etcd',
  endpoints: [],
  prefix: '/net',
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  username: 'u',
  password: 'hunter2',
};

/** The log of opening a store. No server is asked. */
async function logOf(options: Partial<EtcdOptions>): Promise<readonly string[]> {
  const { log, lines } = captureLog('datastore');
  await using _store = await openLeaseStore(
    { ...OPTIONS, ...options },
    { clock: systemClock, random: () => 0, log },
  );
  return lines;
}

describe('an etcd that is opened', () => {
  it('an etcd with a password in clear text is warned of, and the password is not shown', async () => {
    expect(
      await logOf({ endpoints: ['http://127.0.0.1:2379', 'http://10.0.0.1:2379', 'http://127.a:2379'] }),
    ).toEqual([
      expect.stringMatching(
        /^warn .*the password crosses the network in clear text: use https:\/\/ in --etcd-endpoints endpoints=http:\/\/10\.0\.0\.1:2379,http:\/\/127\.a:2379$/,
      ),
    ]);
  });

  it.each([
    ['over TLS', { endpoints: ['https://10.0.0.1:2379'] }],
    ['on this host', { endpoints: ['http://localhost:2379', 'http://127.9.9.9:2379', 'http://[::1]:2379'] }],
    ['without a password', { endpoints: ['http://10.0.0.1:2379'], username: undefined, password: undefined }],
  ])('an etcd %s is opened without a warning', async (_how, options) => {
    expect(await logOf(options)).toEqual([]);
  });
});
