// Reads the flags of Kubernetes. Beside kube-subnet-mgr the flags of other datastores have no effect, as in flannel.
import { TwillError } from '../base/errors.ts';
import type { Given, KubernetesOptions } from '../model/datastore-options.ts';
import type { FlagValues } from './flag-values.ts';
import type { FlagName } from './flags.ts';

/** The variables that name the Node, or the pod on it, and the API server as a pod reaches it. */
const VARIABLES = [
  'NODE_NAME',
  'POD_NAME',
  'POD_NAMESPACE',
  'KUBERNETES_SERVICE_HOST',
  'KUBERNETES_SERVICE_PORT',
] as const;

/** Kubernetes by the flags; undefined: it is not asked for. Fails as `usage`. */
export function readKubernetesOptions(
  values: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
): KubernetesOptions | undefined {
  if (!values.bool('kube-subnet-mgr')) return undefined;
  const given = (name: FlagName<'string'>): Given => ({
    text: values.text(name),
    source: values.source(name),
  });
  const netConfigPath = values.text('net-config-path');
  if (netConfigPath === '')
    throw new TwillError('usage', `${values.source('net-config-path')}: must be the path of a file, is ""`);
  const apiUrl = given('kube-api-url');
  return {
    kind: 'kubernetes',
    apiUrl: apiUrl.text === '' ? undefined : apiUrl,
    kubeconfigFile: values.text('kubeconfig-file') || undefined,
    annotationPrefix: given('kube-annotation-prefix'),
    netConfigPath,
    setsNetworkUnavailable: values.bool('set-node-network-unavailable'),
    environment: Object.fromEntries(VARIABLES.map((name) => [name, environment[name]])),
  };
}
