// Opens Kubernetes as the store of leases: finds the own Node, and brings the watch of all Nodes and the holder of the
// own podCIDR together.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { ConfigSource } from '../model/config-source.ts';
import { addressesOf, type KubernetesOptions } from '../model/datastore-options.ts';
import type { HolderInput } from '../model/lease-holder.ts';
import { StoreRequests } from '../model/store-requests.ts';
import { annotationNames } from './annotation-names.ts';
import { sendsClearToken } from './api/access.ts';
import type { ApiError } from './api/api-error.ts';
import { createApiClient } from './api/client.ts';
import { findAccess } from './api/find-access.ts';
import { measureClient } from './measured-client.ts';
import { readNetConf } from './net-conf.ts';
import { type CachedNodes, keepNodes, type NodeCache, nodeCache } from './node-cache.ts';
import { NodeHolder } from './node-holder.ts';
import type { NodeObject } from './node-object.ts';
import { createNodeReader } from './node-object.ts';
import { NodeWatch } from './node-watch.ts';
import { createNodeWriter } from './node-writer.ts';
import { announcedMac, readAddress } from './own-annotations.ts';
import { findNode, findNodeName, readNodeHint } from './own-node.ts';
import { findOrRecall } from './recall.ts';

export interface KubernetesDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called for each failed attempt to find the own Node. If it throws, there are no further ones. */
  readonly onFailure: (error: ApiError) => void;
  /** The file of the Nodes as they were seen last. Undefined: it is neither read nor written. */
  readonly nodeCache: string | undefined;
}

/** Kubernetes, once the own Node is known. Disposing closes all connections. */
export interface Kubernetes extends AsyncDisposable {
  readonly nodes: NodeWatch;
  /** Those to the API server so far. */
  readonly requests: StoreRequests;
  readonly configSource: ConfigSource;
  readonly nodeName: string;
  /** The address of the API server, where it is known as an address. */
  readonly addresses: readonly string[];
  /** The public address that an operator has given to the own Node; undefined: none. */
  readonly publicIP: string | undefined;
  /** The MAC by which peers know this node's vxlan device; undefined: none. */
  readonly announcedMac: string | undefined;
  /** The holder of the own podCIDR. */
  createHolder(input: HolderInput): NodeHolder;
}

/**
 * Opens Kubernetes, as soon as the API server answers and the own Node exists, or by the Nodes of the last run where it
 * does not answer.
 *
 * Fails as `usage` or `config` for flags, variables and files that cannot work, before the API is asked. Fails with the
 * reason of an aborted signal.
 */
export async function openKubernetes(
  options: KubernetesOptions,
  deps: KubernetesDeps,
  signal: AbortSignal,
): Promise<Kubernetes> {
  const { clock, random, log } = deps;
  const { text: prefix, source: where } = options.annotationPrefix;
  const names = annotationNames(prefix, where);
  const conf = await readNetConf(options.netConfigPath);
  const hint = readNodeHint(options.environment);
  const access = await findAccess(options, options.environment);
  if (sendsClearToken(access)) {
    log.warn('the token crosses the network in clear text: use https:// for the API server', {
      server: access.server.origin,
    });
  }
  const requests = new StoreRequests(clock);
  const client = measureClient(createApiClient(access, deps), requests);
  let nodeName: string;
  let node: NodeObject;
  let cache: NodeCache | undefined;
  let last: CachedNodes | undefined;
  try {
    nodeName = await findNodeName(hint, { ...deps, client }, signal);
    if (deps.nodeCache !== undefined)
      cache = nodeCache({ path: deps.nodeCache, nodeName, settings: [prefix, conf.text] });
    const find = (onFailure: typeof deps.onFailure, until: AbortSignal): Promise<NodeObject> =>
      findNode(nodeName, createNodeReader(names), { ...deps, client, onFailure }, until);
    ({ node, last } = await findOrRecall({ ...deps, find, cache }, signal));
  } catch (error) {
    client[Symbol.dispose]();
    throw error;
  }
  const { address, fault } = readAddress(node, 'node-public-ip');
  if (fault !== undefined) log.warn(fault);
  if (address !== undefined)
    log.info(`the annotation ${names['node-public-ip']} of this Node takes the place of --public-ip`, {
      address,
    });
  const nodes = new NodeWatch({ client, nodeName, names, config: conf.text, last, clock, random });
  const ending = new AbortController();
  const { changed } = nodes;
  const keeping =
    cache && keepNodes({ cache, changed, nodes: () => nodes.nodes(), clock, log }, ending.signal);
  const writer = createNodeWriter({ client, nodeName, names, clock });
  const setsAvailable = options.setsNetworkUnavailable;
  return {
    nodes,
    requests,
    configSource: conf,
    nodeName,
    addresses: addressesOf([access.server]),
    publicIP: address,
    announcedMac: announcedMac(node),
    createHolder: (input) =>
      new NodeHolder({ ...input, nodeName, source: nodes, writer, setsAvailable, clock, random }),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await keeping;
      await nodes[Symbol.asyncDispose]();
    },
  };
}
