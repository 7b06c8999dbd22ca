// An etcd that comes up on empty data, with agents that were there before.
import { describe, expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { OVERLAY } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, needsProgram, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

const HOSTS = [1, 2, 3] as const;
const BACKEND = { Type: 'vxlan' };

const need = allOf(NEEDS_CLUSTER, needsProgram('curl'));

describe.skipIf(need.missing)(title('an etcd that has lost its data', need), () => {
  const cluster = useCluster({ hosts: HOSTS.length, containers: false, backend: BACKEND });
  const readiness = async (number: number): Promise<string> => {
    const { namespace } = cluster().lab.host(number);
    return (await namespace.exec(['curl', '-s', `http://127.0.0.1:${HEALTHZ_PORT}/readyz`])).stdout.trim();
  };
  const routes = () => Promise.all(HOSTS.map((number) => cluster().routes(number)));
  const keys = async (): Promise<string[]> => {
    const text = await cluster().etcd.etcdctl(
      'get',
      '--prefix',
      '--keys-only',
      '/coreos.com/network/subnets/',
    );
    return text.split('\n').filter((line) => line !== '');
  };

  it('nodes keep all routes when etcd loses its data, and get their subnets again with the configuration', async () => {
    const [before, keysBefore] = [await routes(), await keys()];
    expect(before.map((lines) => lines.length)).toEqual([2, 2, 2]);
    const [etcd] = cluster().etcd.members;
    await etcd?.wipe();
    await etcd?.start();
    for (const number of HOSTS) {
      await waitFor(`host ${number} says so`, 15_000, async () =>
        (await readiness(number)).includes('3 of 3 leases are gone from the datastore at once'),
      );
    }
    expect(await routes()).toEqual(before);
    expect(await keys()).toEqual([]);
    await cluster().etcd.setNetwork({ Network: OVERLAY, Backend: BACKEND });
    await waitFor('all leases are back', 10_000, async () => (await keys()).length === HOSTS.length);
    expect(await keys()).toEqual(keysBefore);
    expect(await routes()).toEqual(before);
    for (const number of HOSTS) {
      await waitFor(`host ${number} is ready`, 5_000, async () => (await readiness(number)) === 'ready');
    }
  });
});
