// Chooses the way to the API server, as flannel does.
import { type ApiAccess, anonymousAccess, parseServer, podAccess } from './access.ts';
import { kubeconfigAccess } from './kubeconfig.ts';

export interface AccessOptions {
  /** `--kubeconfig-file`. */
  readonly kubeconfigFile: string | undefined;
  /** `--kube-api-url`, and its source for messages. */
  readonly apiUrl: { readonly text: string; readonly source: string } | undefined;
}

/**
 * The access by a kubeconfig, in which the URL takes the place of the server; by the URL alone, without credentials; or
 * that of a pod. Fails as `usage`.
 */
export async function findAccess(
  { kubeconfigFile, apiUrl }: AccessOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ApiAccess> {
  if (kubeconfigFile !== undefined) return kubeconfigAccess(kubeconfigFile, apiUrl?.text);
  return apiUrl === undefined ? podAccess(env) : anonymousAccess(parseServer(apiUrl.text, apiUrl.source));
}
