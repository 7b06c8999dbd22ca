// Fills the cache of the programs of Kubernetes: those of an API server and of whole nodes.
import { withLock } from './lock.mjs';

/**
 * Builds and unpacks the programs that are missing.
 *
 * @param {(line: string) => void} say
 */
export async function fillKubernetes(say) {
  const lab = '../dist/lab/test/lab';
  const { buildEtcdVersions, etcdCacheFolder } = await import(`${lab}/etcd-versions.js`);
  const { buildKubernetes, KUBERNETES_ETCD, kubernetesCacheFolder } = await import(
    `${lab}/kubernetes/programs.js`
  );
  await withLock('etcd', etcdCacheFolder(), () => buildEtcdVersions(say, [KUBERNETES_ETCD]));
  await withLock('kubernetes', kubernetesCacheFolder(), () => buildKubernetes(say));
  const { fillCniPlugins } = await import(`${lab}/engines/cni-plugins.js`);
  const { engineCacheFolder, fillNodeCache } = await import(`${lab}/engines/cache.js`);
  await withLock('engines', engineCacheFolder(), () => fillCniPlugins(say));
  await withLock('engines', engineCacheFolder(), () => fillNodeCache(say));
}
