// The objects of kube-flannel as far as a move from it and back needs them, with the real flanneld and its CNI plugin.

/** Its file for CNI. */
export const FLANNELS_LIST = JSON.stringify({
  name: 'cbr0',
  cniVersion: '0.3.1',
  plugins: [
    { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

const NAME = 'flannel';
const NAMESPACE = 'kube-flannel';
const IN_NAMESPACE = { namespace: NAMESPACE, labels: { app: NAME } };
const RBAC = 'rbac.authorization.k8s.io';

/** The objects. `image` has flanneld, its plugin in /opt/cni/bin, a shell and iptables. */
export function kubeFlannel(image: string, network: string): readonly object[] {
  const conf = JSON.stringify({ Network: network, EnableNFTables: false, Backend: { Type: 'vxlan' } });
  const copy = (name: string, from: string, to: string, mount: object): object => ({
    name,
    image,
    command: ['cp', '-f', from, to],
    volumeMounts: [mount, { name: 'flannel-cfg', mountPath: '/etc/kube-flannel' }],
  });
  const hostPath = (name: string, path: string, type?: string): object => ({
    name,
    hostPath: type === undefined ? { path } : { path, type },
  });
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, ...IN_NAMESPACE } },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRole',
      metadata: { name: NAME },
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
        { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
      ],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: NAME },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: NAME },
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', ...IN_NAMESPACE },
      data: { 'cni-conf.json': FLANNELS_LIST, 'net-conf.json': conf },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'kube-flannel-ds', ...IN_NAMESPACE },
      spec: {
        selector: { matchLabels: { app: NAME } },
        template: {
          metadata: { labels: { app: NAME } },
          spec: {
            serviceAccountName: NAME,
            priorityClassName: 'system-node-critical',
            hostNetwork: true,
            tolerations: [{ operator: 'Exists', effect: 'NoSchedule' }],
            affinity: {
              nodeAffinity: {
                requiredDuringSchedulingIgnoredDuringExecution: {
                  nodeSelectorTerms: [
                    {
                      matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }],
                    },
                  ],
                },
              },
            },
            initContainers: [
              copy('install-cni-plugin', '/flannel', '/opt/cni/bin/flannel', {
                name: 'cni-plugin',
                mountPath: '/opt/cni/bin',
              }),
              copy('install-cni', '/etc/kube-flannel/cni-conf.json', '/etc/cni/net.d/10-flannel.conflist', {
                name: 'cni',
                mountPath: '/etc/cni/net.d',
              }),
            ],
            containers: [
              {
                name: 'kube-flannel',
                image,
                command: ['/flanneld'],
                args: ['--ip-masq', '--kube-subnet-mgr'],
                env: [
                  { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
                  { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
                ],
                securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
                volumeMounts: [
                  { name: 'run', mountPath: '/run/flannel' },
                  { name: 'flannel-cfg', mountPath: '/etc/kube-flannel' },
                  { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
                ],
              },
            ],
            volumes: [
              hostPath('run', '/run/flannel'),
              hostPath('cni-plugin', '/opt/cni/bin'),
              hostPath('cni', '/etc/cni/net.d'),
              hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
              { name: 'flannel-cfg', configMap: { name: 'kube-flannel-cfg' } },
            ],
          },
        },
      },
    },
  ];
}
