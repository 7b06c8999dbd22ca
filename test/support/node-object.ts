// Nodes as the agent keeps them.
import type { NodeObject } from '../../agent/kubernetes/node-object.ts';

/** A Node with a podCIDR. */
export function nodeObject(
  annotations: NodeObject['annotations'],
  more: Partial<NodeObject> = {},
): NodeObject {
  return {
    name: 'n1',
    uid: 'uid-n1',
    resourceVersion: '42',
    createdMs: 1_000,
    podCidrs: ['10.244.1.0/24'],
    annotations,
    networkUnavailable: undefined,
    ...more,
  };
}
