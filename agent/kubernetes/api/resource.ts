// The resources of the API and their paths.

/** Objects of one kind, in one namespace or outside of all. */
export interface Resource {
  /** `v1` for the core group, else `group/version`. */
  readonly apiVersion: string;
  /** Its name in paths and in roles: `nodes`. */
  readonly plural: string;
  /** Undefined: the resource has none. */
  readonly namespace?: string;
}

export const NODES: Resource = { apiVersion: 'v1', plural: 'nodes' };

export function podsIn(namespace: string): Resource {
  return { apiVersion: 'v1', plural: 'pods', namespace };
}

/** The path of an object, or of all objects. */
export function pathOf({ apiVersion, plural, namespace }: Resource, name?: string): string {
  const inside = namespace === undefined ? [] : ['namespaces', namespace];
  const words = [apiVersion.includes('/') ? 'apis' : 'api', ...apiVersion.split('/'), ...inside, plural];
  return `/${[...words, ...(name === undefined ? [] : [name])].map(encodeURIComponent).join('/')}`;
}
