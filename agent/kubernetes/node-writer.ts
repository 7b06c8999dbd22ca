// Writes what this node says into its own Node: annotations and the condition NetworkUnavailable, both as flannel
// does. A role needs the verb `patch` on nodes/status for it, and no right on the Nodes themselves: the API keeps
// annotations that come with the status.
import type { Clock } from '../base/clock.ts';
import type { JsonValue } from '../base/schema.ts';
import type { Annotation, AnnotationNames } from './annotation-names.ts';
import type { ApiClient } from './api/client.ts';
import { NODES } from './api/resource.ts';
import type { Announcement } from './node-lease.ts';
import { createNodeReader, type NodeObject } from './node-object.ts';

/** Calls fail as `ApiError`. They give the Node as it is then; undefined: the answer is no Node. */
export interface NodeWriter {
  /** Writes these annotations. All others stay as they are. */
  annotate(changes: Announcement, signal: AbortSignal): Promise<NodeObject | undefined>;
  /** Says that the network of this node is available: NetworkUnavailable becomes False. */
  setAvailable(signal: AbortSignal): Promise<NodeObject | undefined>;
}

export interface NodeWriterOptions {
  readonly client: Pick<ApiClient, 'patch'>;
  readonly nodeName: string;
  readonly names: AnnotationNames;
  readonly clock: Clock;
}

export function createNodeWriter({ client, nodeName, names, clock }: NodeWriterOptions): NodeWriter {
  const read = createNodeReader(names);
  // The last writer wins: there is no resourceVersion in it.
  const patch = async (body: JsonValue, signal: AbortSignal): Promise<NodeObject | undefined> =>
    read(await client.patch(NODES, nodeName, { type: 'strategic', subresource: 'status', body }, signal));
  return {
    annotate(changes, signal) {
      const annotations = Object.fromEntries(
        Object.entries(changes).map(([end, value]) => [names[end as Annotation], value]),
      );
      return patch({ metadata: { annotations } }, signal);
    },
    setAvailable(signal) {
      // In whole seconds, as all times of the API.
      const now = new Date(clock.wallMs()).toISOString().replace(/\.\d+/, '');
      const condition = {
        type: 'NetworkUnavailable',
        status: 'False',
        reason: 'FlannelIsUp',
        message: 'Flannel is running on this node',
        lastTransitionTime: now,
        lastHeartbeatTime: now,
      };
      return patch({ status: { conditions: [condition] } }, signal);
    },
  };
}
