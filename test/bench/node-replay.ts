// A program: a Kubernetes API of many Nodes, over TLS on the loopback address. It lists them in pages, and tells a
// watch of their heartbeats: each Node changes its status every five minutes, one after the other. Nodes are as large
// as real ones. It writes nothing down but the annotations and conditions that are patched into the own Node, `node-0`.
//
//     node node-replay.js COUNT FOLDER
//
// FOLDER has the files of an authority of the name `api`. It prints `listening on PORT`.
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const HEARTBEAT_MS = 300_000;
const BOOKMARK_MS = 60_000;
const PREFIX = 'flannel.alpha.coreos.com';
/** A list is compressed at the level of the API server. */
const GZIP_LEVEL = 1;

const [count, folder = ''] = [Number(process.argv[2]), process.argv[3]];
let version = 1_000_000;
let ownAnnotations: Record<string, string> = {};
const watches = new Set<ServerResponse>();

const many = <T>(length: number, make: (index: number) => T): T[] =>
  Array.from({ length }, (_, i) => make(i));
const fields = (names: readonly string[]): object =>
  Object.fromEntries(names.map((name) => [`f:${name}`, {}]));

const CONDITIONS = ['NetworkUnavailable', 'MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'];
const LABELS = many(20, (i) => `topology.example.com/label-${i}`);
const IMAGES = many(50, (i) => ({
  names: [
    `registry.example.com/team-${i}/image@sha256:${'0123456789abcdef'.repeat(4)}`,
    `registry.example.com/team-${i}/image:v1.${i}.0`,
  ],
  sizeBytes: 123_456_789 + i,
}));
const CAPACITY = { cpu: '16', 'ephemeral-storage': '203056560Ki', memory: '65812420Ki', pods: '110' };
const NODE_INFO = {
  machineID: '0123456789abcdef0123456789abcdef',
  systemUUID: '01234567-89ab-cdef-0123-456789abcdef',
  bootID: '01234567-89ab-cdef-0123-456789abcdef',
  kernelVersion: '6.12.0-amd64',
  osImage: 'Debian GNU/Linux 13 (trixie)',
  containerRuntimeVersion: 'containerd://2.1.0',
  kubeletVersion: 'v1.34.4',
  kubeProxyVersion: '',
  operatingSystem: 'linux',
  architecture: 'amd64',
};
const manages = (manager: string, fieldsV1: object, subresource?: string): object => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-11-30T10:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...(subresource === undefined ? {} : { subresource }),
});
const MANAGED = [
  manages('kubelet', {
    'f:metadata': {
      'f:annotations': { '.': {}, ...fields([`${PREFIX}/x`]) },
      'f:labels': { '.': {}, ...fields(LABELS) },
    },
  }),
  manages('kube-controller-manager', { 'f:spec': fields(['podCIDR', 'podCIDRs']) }),
  manages(
    'kubelet',
    {
      'f:status': {
        'f:conditions': Object.fromEntries(
          CONDITIONS.map((type) => [
            `k:{"type":"${type}"}`,
            {
              '.': {},
              ...fields(['lastHeartbeatTime', 'lastTransitionTime', 'message', 'reason', 'status', 'type']),
            },
          ]),
        ),
        'f:images': {},
        'f:allocatable': fields(Object.keys(CAPACITY)),
        'f:nodeInfo': fields(Object.keys(NODE_INFO)),
      },
    },
    'status',
  ),
];

/** The members of a Node in the order of the API server. */
function nodeOf(index: number): Readonly<Record<string, unknown>> {
  const [high, low] = [index >> 8, index & 255];
  const mac = `02:00:00:${[high, low].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}:01`;
  const address = `172.16.${high}.${low}`;
  const podCIDR = `10.${128 + high}.${low}.0/24`;
  const announced = {
    [`${PREFIX}/backend-data`]: JSON.stringify({ VNI: 1, VtepMAC: mac }),
    [`${PREFIX}/backend-type`]: 'vxlan',
    [`${PREFIX}/kube-subnet-manager`]: 'true',
    [`${PREFIX}/public-ip`]: address,
  };
  return {
    metadata: {
      name: `node-${index}`,
      uid: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      resourceVersion: String(version),
      creationTimestamp: '2026-11-30T10:00:00Z',
      labels: Object.fromEntries(LABELS.map((name, i) => [name, `value-${i}`])),
      annotations: index === 0 ? ownAnnotations : announced,
      managedFields: MANAGED,
    },
    spec: { podCIDR, podCIDRs: [podCIDR], providerID: `cloud:///zone/node-${index}` },
    status: {
      capacity: CAPACITY,
      allocatable: CAPACITY,
      conditions: CONDITIONS.map((type) => ({
        type,
        status: type === 'Ready' ? 'True' : 'False',
        lastHeartbeatTime: new Date().toISOString(),
        lastTransitionTime: '2026-11-30T10:00:00Z',
        reason: 'KubeletHasNoProblem',
        message: 'kubelet has no problem with this condition of the node',
      })),
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: `node-${index}` },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      nodeInfo: NODE_INFO,
      images: IMAGES,
    },
  };
}

const whole = (index: number): object => ({ kind: 'Node', apiVersion: 'v1', ...nodeOf(index) });

function tell(event: object): void {
  const line = `${JSON.stringify(event)}\n`;
  for (const watch of watches) watch.write(line);
}

function list(query: URLSearchParams): object {
  const from = Number(query.get('continue') ?? 0);
  const end = Math.min(count, from + Number(query.get('limit') ?? count));
  const metadata = { resourceVersion: String(version), ...(end < count ? { continue: String(end) } : {}) };
  return { kind: 'NodeList', apiVersion: 'v1', metadata, items: many(end - from, (i) => nodeOf(from + i)) };
}

async function patch(request: IncomingMessage): Promise<object> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  const body = JSON.parse(text) as { metadata?: { annotations?: Record<string, string> } };
  ownAnnotations = { ...ownAnnotations, ...body.metadata?.annotations };
  version += 1;
  tell({ type: 'MODIFIED', object: whole(0) });
  return whole(0);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://server');
  response.setHeader('content-type', 'application/json');
  if (searchParams.has('watch')) {
    watches.add(response);
    response.once('close', () => watches.delete(response));
    response.flushHeaders();
    return;
  }
  const name = /^\/api\/v1\/nodes\/node-(\d+)/.exec(pathname)?.[1];
  const value =
    request.method === 'PATCH'
      ? await patch(request)
      : name === undefined
        ? list(searchParams)
        : whole(Number(name));
  const text = JSON.stringify(value);
  if (request.headers['accept-encoding'] !== 'gzip') return void response.end(text);
  response.setHeader('content-encoding', 'gzip');
  response.end(gzipSync(text, { level: GZIP_LEVEL }));
}

const server = createServer(
  { cert: readFileSync(join(folder, 'api-server.pem')), key: readFileSync(join(folder, 'api-server.key')) },
  (request, response) => void answer(request, response),
);
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`Nodes of ${JSON.stringify(whole(1)).length} bytes, listening on ${port}\n`);
});
let next = 0;
setInterval(() => {
  version += 1;
  tell({ type: 'MODIFIED', object: whole(next) });
  next = (next + 1) % count;
}, HEARTBEAT_MS / count);
setInterval(() => {
  const object = { kind: 'Node', apiVersion: 'v1', metadata: { resourceVersion: String(version) } };
  tell({ type: 'BOOKMARK', object });
}, BOOKMARK_MS);
