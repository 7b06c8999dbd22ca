// What the tests of a real API server share: their need, clients of several users, and rights.
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { type ApiAccess, anonymousAccess } from '../../agent/kubernetes/api/access.ts';
import { type ApiClient, createApiClient } from '../../agent/kubernetes/api/client.ts';
import type { ApiServer } from '../lab/kubernetes/api-server.ts';
import { kubernetesFailure } from '../lab/kubernetes/programs.ts';
import { allOf, type Need, needsProgram } from '../support/needs.ts';

const failure = await kubernetesFailure();

export const NEEDS_API_SERVER: Need = allOf(...['etcdctl', 'openssl'].map(needsProgram), {
  missing: failure !== undefined,
  reason: failure ?? '',
});

export const never = new AbortController().signal;

/** A client of the server with a token, or with other access. */
export function clientOf(server: ApiServer, token: string, more: Partial<ApiAccess> = {}): ApiClient {
  const access = {
    ...anonymousAccess(new URL(server.url)),
    ca: { file: server.caFile },
    token: { text: token },
    ...more,
  };
  return createApiClient(access, { clock: systemClock, random: systemRandom });
}

export interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** The rights that flannel's ClusterRole gives on Nodes, which are all that the agent needs. */
export const LEAST_RIGHTS: readonly Rule[] = [
  { resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
  { resources: ['nodes/status'], verbs: ['patch'] },
];

const ROLES = '/apis/rbac.authorization.k8s.io/v1';

/** Lets the user `agent`, and the ServiceAccount of that name in `default`, do this and nothing else. */
export async function grant(server: ApiServer, rules: readonly Rule[]): Promise<void> {
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'agent' },
    rules: rules.map((rule) => ({ apiGroups: [''], ...rule })),
  };
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'agent' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'agent' },
    subjects: [
      { kind: 'User', name: 'agent' },
      { kind: 'ServiceAccount', name: 'agent', namespace: 'default' },
    ],
  };
  const apply = async (path: string, object: unknown): Promise<unknown> =>
    server.admin('PATCH', `${path}?fieldManager=test&force=true`, object, 'application/apply-patch+yaml');
  await apply(`${ROLES}/clusterroles/agent`, role);
  await apply(`${ROLES}/clusterrolebindings/agent`, binding);
}

/** A Node to create, with a podCIDR and annotations. */
export function newNode(
  name: string,
  podCidr?: string,
  annotations: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> {
  const spec = podCidr === undefined ? {} : { podCIDR: podCidr, podCIDRs: [podCidr] };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, annotations }, spec };
}
