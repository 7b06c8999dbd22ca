/** The file of the Nodes as they were seen last. There is none where its folder is missing: the pod mounts it. */
export const NODE_CACHE = '/var/lib/twill/nodes.json';
