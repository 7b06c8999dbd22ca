// The manifests and the chart, as a real API server takes them: strictly, and with its defaults.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../agent/options/flag-values.ts';
import { type ApiServer, startApiServer } from '../lab/kubernetes/api-server.ts';
import { helm, helmFailure } from '../lab/kubernetes/helm.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { title } from '../support/needs.ts';
import { LEAST_RIGHTS, NEEDS_API_SERVER } from './bed.ts';
import { type DaemonSet, isDaemonSet, MANIFESTS, type Manifest } from './manifests.ts';

const missingHelm = await helmFailure();
const NEEDS_HELM = { missing: missingHelm !== undefined, reason: missingHelm ?? '' };
const OVERLAYS = (await readdir(join(MANIFESTS, 'overlays'))).toSorted();
/** All that the pods may write on the host, with the reason. */
const WRITABLE = [
  '/etc/cni/net.d', // The list for pods.
  '/dev/net/tun', // The tunnel device of udp.
  '/run/flannel', // subnet.env.
  '/run/xtables.lock', // The lock of the old iptables.
  '/var/lib/cni', // The files of flannel's plugin, for a move back.
  '/var/lib/twill', // The state for a boot without the API.
];

describe.skipIf(NEEDS_API_SERVER.missing)(title('the manifests for Kubernetes', NEEDS_API_SERVER), () => {
  let server: ApiServer;
  let base: readonly Manifest[];
  /** Of the base and of each overlay. */
  const objects = new Map<string, readonly Manifest[]>();
  const daemonSetsOf = (name: string) => (objects.get(name) ?? []).filter(isDaemonSet);

  beforeAll(async () => {
    server = await startApiServer();
    base = await applied('-k', join(MANIFESTS, 'base'));
    objects.set('base', base);
    for (const overlay of OVERLAYS) {
      // A server that only tries does not know a Namespace of the same file.
      const tries = overlay === 'clean-up' ? [] : ['--dry-run=server'];
      objects.set(overlay, await applied(...tries, '-k', join(MANIFESTS, 'overlays', overlay)));
    }
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  /** The objects as the server has them after strict validation. */
  async function applied(...args: readonly string[]): Promise<readonly Manifest[]> {
    const found = JSON.parse(await server.kubectl('apply', '--validate=strict', '-o', 'json', ...args));
    return found.kind === 'List' ? found.items : [found];
  }
  const agentOf = (set: DaemonSet | undefined) => set?.spec.template.spec.containers[0];

  it('the API server takes the base', () => {
    expect(base.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted()).toEqual([
      'ClusterRole twill',
      'ClusterRoleBinding twill',
      'ConfigMap twill',
      'DaemonSet twill',
      'Namespace twill',
      'ServiceAccount twill',
      'ValidatingAdmissionPolicy twill',
      'ValidatingAdmissionPolicyBinding twill',
    ]);
  });

  it('the role has no right but those that the agent needs', () => {
    const role = base.find(({ kind }) => kind === 'ClusterRole') as Manifest & { readonly rules: unknown };
    expect(role.rules).toEqual(LEAST_RIGHTS.map((rule) => ({ apiGroups: [''], ...rule })));
  });

  it.each(OVERLAYS)('the API server takes the overlay %s', (overlay) => {
    expect(daemonSetsOf(overlay)).toHaveLength(1);
  });

  it.each(['base', ...OVERLAYS])('the pods of %s have no more power than they need', (overlay) => {
    for (const { spec } of daemonSetsOf(overlay)) {
      const pod = spec.template.spec;
      expect(pod.securityContext?.seccompProfile?.type).toBe('RuntimeDefault');
      expect([pod.hostPID ?? false, pod.hostIPC ?? false]).toEqual([false, false]);
      const paths = new Map(
        pod.volumes.flatMap(({ name, hostPath }) => (hostPath ? [[name, hostPath]] : [])),
      );
      for (const { path, type } of paths.values()) expect(type, `the type of ${path}`).toMatch(/^[A-Z]/);
      for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
        const { securityContext: rights, volumeMounts = [] } = container;
        expect(rights.privileged).toBe(false);
        expect(rights.allowPrivilegeEscalation).toBe(false);
        expect(rights.readOnlyRootFilesystem).toBe(true);
        expect(rights.capabilities.drop).toEqual(['ALL']);
        for (const name of rights.capabilities.add ?? []) expect(['NET_ADMIN', 'NET_RAW']).toContain(name);
        const written = volumeMounts.filter(({ readOnly }) => readOnly !== true);
        for (const { name } of written) expect(WRITABLE).toContain(paths.get(name)?.path);
        expect(container.resources.limits).toBeUndefined();
        expect(container.resources.requests).toMatchObject({
          cpu: expect.any(String),
          memory: expect.any(String),
        });
      }
    }
  });

  it.each(['base', ...OVERLAYS])('%s uses flags that the agent has', (overlay) => {
    const used = daemonSetsOf(overlay).flatMap(({ spec }) => [
      ...spec.template.spec.containers,
      ...(spec.template.spec.initContainers ?? []),
    ]);
    const argv = used.flatMap(({ args }) => (args === undefined ? [] : [args]));
    expect(argv).not.toEqual([]);
    for (const args of argv) {
      const { flags, operands } = parseCommandLine(args);
      expect(operands).toHaveLength(1);
      expect(flags.has('kube-subnet-mgr')).toBe(true);
    }
  });

  it('a network configuration beside a list for pods goes into the ConfigMap that the DaemonSet mounts', () => {
    for (const overlay of ['host-gw', 'udp', 'nftables', 'moving']) {
      const map = objects.get(overlay)?.find(({ kind }) => kind === 'ConfigMap') as Manifest & {
        readonly data: Readonly<Record<string, string>>;
      };
      const conf = JSON.parse(map.data['net-conf.json'] ?? '');
      expect(conf.Network).toBe('10.244.0.0/16');
      expect(conf.EnableNFTables).toBe(overlay === 'nftables');
      expect(conf.Backend.Type).toBe(['host-gw', 'udp'].includes(overlay) ? overlay : 'vxlan');
    }
  });

  it('the image has the version of this checkout', async () => {
    const { version } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8'));
    expect(agentOf(base.find(isDaemonSet))?.image).toBe(`twill:${version}`);
    const chart = await readFile(join(MANIFESTS, 'Chart.yaml'), 'utf8');
    expect(chart).toContain(`\nversion: ${version}\nappVersion: ${version}\n`);
  });

  it('the components leave the admission policy out, and let Prometheus read the numbers', async () => {
    const folder = join(server.folder, 'site');
    await mkdir(folder);
    const path = (...names: readonly string[]): string => relative(folder, join(MANIFESTS, ...names));
    const site = {
      resources: [path('base')],
      components: [path('components/without-admission-policy'), path('components/pod-monitor')],
      images: [{ name: 'twill', newName: 'registry.example/twill', newTag: '1' }],
    };
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(site));
    const found = await server.kubectl('kustomize', folder);
    expect(found).not.toContain('ValidatingAdmissionPolicy');
    expect(found).toContain('kind: PodMonitor');
    expect(found).toContain('image: registry.example/twill:1');
    expect(found).toContain('--healthz-ip=$(HOST_IP)');
    expect(found).not.toContain('host: 127.0.0.1');
    // Without the PodMonitor, of which this server knows nothing.
    await writeFile(
      join(server.folder, 'site.yaml'),
      found
        .split(/^---$/m)
        .filter((text) => !text.includes('kind: PodMonitor'))
        .join('---'),
    );
    const sets = await applied('--dry-run=server', '-f', join(server.folder, 'site.yaml'));
    expect(agentOf(sets.find(isDaemonSet))?.args?.at(-1)).toBe('--healthz-ip=$(HOST_IP)');
  });

  describe.skipIf(NEEDS_HELM.missing)(title('the chart', NEEDS_HELM), () => {
    const template = (...args: readonly string[]): Promise<string> =>
      helm(server.folder, 'template', 'twill', MANIFESTS, '--namespace=twill', ...args);

    it('has nothing that helm complains of', async () => {
      expect(await helm(server.folder, 'lint', '--strict', MANIFESTS)).toContain('0 chart(s) failed');
    });

    it('gives the base, without its Namespace', async () => {
      const file = join(server.folder, 'chart.yaml');
      await writeFile(file, await template());
      const names = (await server.kubectl('apply', '--dry-run=server', '-o', 'name', '-f', file)).trim();
      expect(names.split('\n')).toHaveLength(base.length - 1);
      expect(await server.kubectl('diff', '-f', file)).toBe('');
    });

    it('puts the values of kube-flannel into it', async () => {
      const file = join(server.folder, 'values.yaml');
      const values = {
        podCidr: '10.42.0.0/16',
        global: { imagePullSecrets: [{ name: 'registry' }] },
        admissionPolicy: false,
        flannel: {
          image: { repository: 'registry.example/twill', tag: '1' },
          backend: 'udp',
          backendPort: 8_286,
          mtu: 1_400,
          enableNFTables: true,
          args: ['--ip-masq', '--kube-subnet-mgr', '--iface=eth1'],
          cniConfDir: '/var/lib/rancher/cni',
          cniBinDir: '/opt/bin',
          resources: { requests: { cpu: '1', memory: '1Gi' } },
          tolerations: [{ operator: 'Exists' }],
          nodeSelector: { pool: 'a' },
        },
      };
      await writeFile(file, JSON.stringify(values));
      const chart = join(server.folder, 'with-values.yaml');
      await writeFile(chart, await template('--values', file));
      const found = await applied('--dry-run=server', '-f', chart);
      expect(found.some(({ kind }) => kind.startsWith('Validating'))).toBe(false);
      const map = found.find(({ kind }) => kind === 'ConfigMap') as Manifest & {
        readonly data: Readonly<Record<string, string>>;
      };
      expect(JSON.parse(map.data['net-conf.json'] ?? '')).toEqual({
        Network: '10.42.0.0/16',
        EnableNFTables: true,
        Backend: { Type: 'udp', Port: 8_286, MTU: 1_400 },
      });
      const pod = found.find(isDaemonSet)?.spec.template.spec;
      expect(pod).toMatchObject({
        imagePullSecrets: [{ name: 'registry' }],
        nodeSelector: { 'kubernetes.io/os': 'linux', pool: 'a' },
        tolerations: [{ operator: 'Exists' }],
      });
      expect(pod?.containers[0]).toMatchObject({
        image: 'registry.example/twill:1',
        resources: { requests: { cpu: '1', memory: '1Gi' } },
      });
      expect(pod?.containers[0]?.args?.at(-1)).toBe('--iface=eth1');
      const paths = pod?.volumes.map(({ hostPath }) => hostPath?.path);
      expect(paths).toEqual(expect.arrayContaining(['/var/lib/rancher/cni', '/opt/bin', '/dev/net/tun']));
    });

    it('lives in any namespace, and its policy with it', async () => {
      const text = await helm(server.folder, 'template', 'twill', MANIFESTS, '--namespace=network');
      expect(text).toContain("'system:serviceaccount:network:twill'");
      expect(text).not.toContain('namespace: twill');
    });

    it.each([
      ['flannel.psk=secret', "at '/flannel': additional properties 'psk' not allowed"],
      ['podCidrv6=fd00::/56', "additional properties 'podCidrv6' not allowed"],
      [
        'flannel.backend=wireguard',
        "at '/flannel/backend': value must be one of 'vxlan', 'host-gw', 'udp', 'alloc'",
      ],
      ['podCidr=10.42', "at '/podCidr': '10.42' does not match pattern"],
      ['flannel.vni=0', "at '/flannel/vni': minimum: got 0, want 1"],
    ])('refuses %s in a clear line', async (value, line) => {
      await expect(template('--set', value)).rejects.toThrow(line);
    });
  });
});
