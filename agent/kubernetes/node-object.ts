// The part of a Node that the agent keeps: about 1 KB of the 10 to 20 kB that the API sends. The rest is garbage as
// soon as one object was read.

import { ANNOTATIONS, type Annotation, type AnnotationNames } from './annotation-names.ts';
import { record } from './api/api-error.ts';
import { LIMITS } from './limits.ts';

export interface NodeObject {
  readonly name: string;
  /** Another one: the Node was deleted and made again. */
  readonly uid: string;
  readonly resourceVersion: string;
  /** Milliseconds since 1970, in whole seconds. */
  readonly createdMs: number;
  /** As the API has them: of one family or of both. Empty: none is assigned yet. Not checked. */
  readonly podCidrs: readonly string[];
  /** Those of flannel that the Node has, by the ends of their names. Not checked; a value that is too long is cut. */
  readonly annotations: Readonly<Partial<Record<Annotation, string>>>;
  /** The condition NetworkUnavailable: `True`, `False` or `Unknown`; undefined: the Node has none. */
  readonly networkUnavailable: string | undefined;
}

/** Reads Nodes; what is no Node is passed over. `names`: of the annotations to keep. */
export function createNodeReader(names: AnnotationNames): (object: unknown) => NodeObject | undefined {
  return (object) => {
    const { metadata, spec, status } = record(object);
    const { name, uid, resourceVersion, creationTimestamp, annotations } = record(metadata);
    if (typeof name !== 'string' || typeof uid !== 'string' || typeof resourceVersion !== 'string')
      return undefined;
    const all = record(annotations);
    const kept = ANNOTATIONS.flatMap((end) => {
      const value = all[names[end]];
      return typeof value === 'string' ? [[end, value.slice(0, LIMITS.annotationChars + 1)] as const] : [];
    });
    return {
      name,
      uid,
      resourceVersion,
      createdMs: Date.parse(String(creationTimestamp)) || 0,
      podCidrs: podCidrsOf(record(spec)),
      annotations: Object.fromEntries(kept),
      networkUnavailable: networkUnavailableIn(record(status)['conditions']),
    };
  };
}

// As in flannel, the single one counts where the list is empty.
function podCidrsOf({ podCIDR, podCIDRs }: Readonly<Record<string, unknown>>): readonly string[] {
  const list = Array.isArray(podCIDRs) && podCIDRs.length > 0 ? podCIDRs : [podCIDR];
  return list
    .filter((each) => typeof each === 'string' && each !== '')
    .slice(0, LIMITS.podCidrs)
    .map((each) => (each as string).slice(0, LIMITS.podCidrChars));
}

function networkUnavailableIn(conditions: unknown): string | undefined {
  if (!Array.isArray(conditions)) return undefined;
  const found = conditions.map(record).find(({ type }) => type === 'NetworkUnavailable');
  const status = found?.['status'];
  return typeof status === 'string' ? status.slice(0, 'Unknown'.length) : undefined;
}
