// The need of tests for whole nodes.
import { readWholeNodesFailure } from '../lab/kubernetes/whole-nodes.ts';
import { allOf, type Need, needsNetns } from '../support/needs.ts';

const failure = await readWholeNodesFailure();

export const NEEDS_WHOLE_NODES: Need = allOf(needsNetns('ping', 'openssl', 'iptables', 'buildah', 'npm'), {
  missing: failure !== undefined,
  reason: failure ?? '',
});
