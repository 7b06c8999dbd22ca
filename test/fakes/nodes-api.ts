// A server of Nodes that keeps what is written into it, as far as an agent uses that: one page, one kind of watch, and
// patches of status. It refuses a watch from a version that it has not reached.
import type { ServerResponse } from 'node:http';
import { type ApiCall, type ScriptedApi, sendJson, sendStatus, startScriptedApi } from './scripted-api.ts';

type Fields = Record<string, unknown>;

export interface StoredNode {
  readonly metadata: { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: Fields;
  readonly status: { readonly conditions: readonly Fields[] };
}

export interface NodesApi extends AsyncDisposable {
  readonly api: ScriptedApi;
  get(name: string): StoredNode | undefined;
  /** Writes a whole Node, as `nodeJson` makes it; undefined: deletes it. */
  put(name: string, node: Readonly<Fields> | undefined): void;
}

export async function startNodesApi(): Promise<NodesApi> {
  const nodes = new Map<string, StoredNode>();
  const watches = new Set<ServerResponse>();
  let version = 10;

  const put = (name: string, node: Readonly<Fields> | undefined): void => {
    version += 1;
    const before = nodes.get(name);
    const next = (node ?? before) as StoredNode | undefined;
    if (next === undefined) return;
    const object = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } };
    if (node === undefined) nodes.delete(name);
    else nodes.set(name, object);
    const type = node === undefined ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    for (const watch of watches) watch.write(`${JSON.stringify({ type, object })}\n`);
  };

  const patch = (name: string, node: StoredNode, body: string): void => {
    const { metadata, status } = JSON.parse(body) as {
      metadata?: { annotations: Record<string, string> };
      status?: { conditions: Fields[] };
    };
    const annotations = { ...node.metadata.annotations, ...metadata?.annotations };
    const written = status?.conditions ?? [];
    const kept = node.status.conditions.filter(({ type }) => !written.some((each) => each['type'] === type));
    put(name, {
      ...node,
      metadata: { ...node.metadata, annotations },
      status: { conditions: [...kept, ...written] },
    });
  };

  const respond = (call: ApiCall, response: ServerResponse): void => {
    const [, name = '', sub] = /^\/api\/v1\/nodes\/([^/]+)(\/status)?$/.exec(call.path) ?? [];
    const node = nodes.get(name);
    if (call.query.get('watch') !== null) {
      if (Number(call.query.get('resourceVersion')) > version) return sendStatus(response, 504, 'too large');
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      watches.add(response);
      response.on('close', () => watches.delete(response));
    } else if (call.path === '/api/v1/nodes') {
      sendJson(response, {
        kind: 'NodeList',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(version) },
        items: [...nodes.values()],
      });
    } else if (node === undefined) sendStatus(response, 404, `nodes "${name}" not found`);
    else {
      if (call.method === 'PATCH' && sub !== undefined) patch(name, node, call.body);
      sendJson(response, nodes.get(name));
    }
  };

  const api = await startScriptedApi(respond);
  return {
    api,
    get: (name) => nodes.get(name),
    put,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
