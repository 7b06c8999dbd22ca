// The place of the file of Nodes, apart from its reader: a start without Kubernetes needs the place alone.

/** The Nodes as they were seen last. There is no file where its folder is missing: the pod mounts it. */
export const NODE_CACHE = '/var/lib/twill/nodes.json';
