// Thirty nodes of a new cluster start at the same instant, and there are 31 subnets: each must get one of its own.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabDatastore, openFolder, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

const NODES = 30;
// 32 subnets of which the first is not leased: one more than there are nodes.
const NETWORK = { Network: '10.6.0.0/19', SubnetLen: 24, Backend: { Type: 'alloc' } };
const START_MS = 60_000;

const STORES: readonly {
  readonly name: string;
  readonly open: (lab: Lab) => LabDatastore | Promise<LabDatastore>;
}[] = [
  { name: 'a folder', open: openFolder },
  { name: 'etcd', open: startLabEtcd },
];

describe.skipIf(NEEDS_CLUSTER.missing).each(STORES)(title('$name', NEEDS_CLUSTER), ({ open }) => {
  let lab: Lab;
  let store: LabDatastore;
  beforeAll(async () => {
    lab = await openLab({ hosts: NODES });
    store = await open(lab);
    await store.setNetwork(NETWORK);
  });
  afterAll(async () => {
    await lab?.close();
  });

  it(`${NODES} agents that start together get a subnet each`, { timeout: START_MS + 10_000 }, async () => {
    const agents = lab.hosts.map((host) => host.startAgent([...store.flags, '--iface=eth0']));
    const envs = await Promise.all(
      lab.hosts.map(async (host, index) => {
        const env = await host
          .waitForSubnetEnv(START_MS, agents[index])
          .catch((error: Error) => error.message);
        return typeof env === 'string' ? env : env.subnet;
      }),
    );
    for (const subnet of envs) expect(subnet).toMatch(/^10\.6\.(?:[1-9]|[12]\d|3[01])\.1\/24$/);
    expect(new Set(envs).size).toBe(NODES);
    expect(agents.filter(({ process }) => !process.isRunning)).toEqual([]);
  });
});
