// What tests read in the manifests for Kubernetes.
import { join } from 'node:path';
import { PROJECT_ROOT } from '../lab/paths.ts';

/** The folder of the manifests, which is the chart's, too. */
export const MANIFESTS = join(PROJECT_ROOT, 'deploy/kubernetes');

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

export interface Container {
  readonly image: string;
  readonly args?: readonly string[];
  readonly resources: { readonly limits?: unknown; readonly requests?: unknown };
  readonly securityContext: {
    readonly privileged: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface DaemonSet extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly hostPID?: boolean;
        readonly hostIPC?: boolean;
        readonly securityContext?: { readonly seccompProfile?: { readonly type: string } };
        readonly containers: readonly Container[];
        readonly initContainers?: readonly Container[];
        readonly volumes: readonly {
          readonly name: string;
          readonly hostPath?: { readonly path: string; readonly type: string };
          readonly configMap?: { readonly name: string };
        }[];
      };
    };
  };
}

export function isDaemonSet(manifest: Manifest): manifest is DaemonSet {
  return manifest.kind === 'DaemonSet';
}
