// Nodes in the form of the Kubernetes API.

interface NodeJsonOptions {
  readonly uid?: string;
  readonly version?: number | string;
  readonly podCidrs?: readonly string[];
  /** By the ends of flannel's names. Default: those of a vxlan node at `address`. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly address?: string;
  readonly more?: Readonly<Record<string, unknown>>;
}

const PREFIX = 'flannel.alpha.coreos.com/';

/** The annotations of a vxlan node, as flannel writes them. */
export function vxlanAnnotations(
  address: string,
  mac = '02:00:00:00:00:02',
): Readonly<Record<string, string>> {
  return {
    'backend-data': `{"VNI":1,"VtepMAC":"${mac}"}`,
    'backend-type': 'vxlan',
    'kube-subnet-manager': 'true',
    'public-ip': address,
  };
}

/** A Node with flannel's annotations and a podCIDR. */
export function nodeJson(name: string, options: NodeJsonOptions = {}): Readonly<Record<string, unknown>> {
  const {
    uid = `uid-${name}`,
    version = 1,
    podCidrs = ['10.244.1.0/24'],
    address = '192.168.77.2',
  } = options;
  const annotations = options.annotations ?? vxlanAnnotations(address);
  return {
    kind: 'Node',
    apiVersion: 'v1',
    metadata: {
      name,
      uid,
      resourceVersion: String(version),
      creationTimestamp: '2026-11-30T10:00:00Z',
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([end, value]) => [PREFIX + end, value]),
      ),
    },
    spec: podCidrs.length === 0 ? {} : { podCIDR: podCidrs[0], podCIDRs: podCidrs },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
    ...options.more,
  };
}

/** A list of objects, or one page of it. */
export function listJson(
  items: readonly unknown[],
  version: number | string,
  next?: string,
): Readonly<Record<string, unknown>> {
  const metadata = { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) };
  return { kind: 'NodeList', apiVersion: 'v1', metadata, items };
}
