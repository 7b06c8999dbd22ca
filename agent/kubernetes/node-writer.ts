// Writes what this node says into its own Node: annotations and the condition NetworkUnavailable. The last writer wins.
import type { Clock } from '../base/clock.ts';
import type { AnnotationNames } from './annotation-names.ts';
import type { ApiClient, Patch } from './api/client.ts';
import { NODES } from './api/resource.ts';
import type { Announcement } from './node-lease.ts';
import { createNodeReader, type NodeObject } from './node-object.ts';
import { annotationPatch, networkAvailablePatch } from './node-patch.ts';

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
  const write = async (patch: Patch, signal: AbortSignal): Promise<NodeObject | undefined> =>
    read(await client.patch(NODES, nodeName, patch, signal));
  return {
    annotate: (changes, signal) => write(annotationPatch(names, changes), signal),
    setAvailable: (signal) => write(networkAvailablePatch(clock.wallMs()), signal),
  };
}
