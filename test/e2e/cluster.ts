// A cluster for the tests of one describe block.
import { afterAll, beforeAll } from 'vitest';
import { type Cluster, type ClusterOptions, openCluster } from '../lab/cluster.ts';

export type { Cluster, ClusterOptions } from '../lab/cluster.ts';

/**
 * A cluster for the tests of the describe block that it is called in. It exists while they run, each agent is
 * ready and knows all others, and each host has a container.
 */
export function useCluster(options: ClusterOptions): () => Cluster {
  let cluster: Cluster | undefined;
  beforeAll(async () => {
    cluster = await openCluster(options);
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });
  return () => {
    if (cluster === undefined) throw new Error('the cluster does not stand');
    return cluster;
  };
}
