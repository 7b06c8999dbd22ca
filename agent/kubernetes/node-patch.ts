// The changes of its own Node that a node asks for, both through the sub-resource `status`: API servers keep
// annotations there, too, and flannel's role has no right beyond it. Pure.
import type { Annotation, AnnotationNames } from './annotation-names.ts';
import type { Patch } from './api/client.ts';
import type { Announcement } from './node-lease.ts';

const STATUS = { type: 'strategic', subresource: 'status' } as const;

/** Writes these annotations and leaves all others as they are. */
export function annotationPatch(names: AnnotationNames, changes: Announcement): Patch {
  const annotations = Object.fromEntries(
    Object.entries(changes).map(([end, value]) => [names[end as Annotation], value]),
  );
  return { ...STATUS, body: { metadata: { annotations } } };
}

/** Says that the network of the node is there, as flannel says it, and leaves all other conditions as they are. */
export function networkAvailablePatch(wallMs: number): Patch {
  // The API takes whole seconds.
  const now = `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
  const condition = {
    type: 'NetworkUnavailable',
    status: 'False',
    reason: 'FlannelIsUp',
    message: 'Flannel is running on this node',
    lastTransitionTime: now,
    lastHeartbeatTime: now,
  };
  return { ...STATUS, body: { status: { conditions: [condition] } } };
}
