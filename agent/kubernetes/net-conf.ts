// The network configuration of a node of Kubernetes: a file, which a ConfigMap fills. It is read once.
import { reasonOf, TwillError } from '../base/errors.ts';
import { readFileStart } from '../base/read-file.ts';
import { withKnownNames } from '../base/schema.ts';
import type { ConfigSource } from '../model/config-source.ts';
import { NETWORK_CONFIG_BYTES } from '../model/limits.ts';
import { parseNetworkConfig, tooLong } from '../model/network-config.ts';

/** Fields that name the subnets to claim. Kubernetes assigns them, so these have no effect, as in flannel. */
const IGNORED = ['SubnetLen', 'SubnetMin', 'SubnetMax'];

/** A configuration that was read. */
export interface NetConf extends ConfigSource {
  readonly text: string;
}

/** Reads the configuration. Fails as `config`, also where the file is missing. */
export async function readNetConf(path: string): Promise<NetConf> {
  const { bytes, isPart } = await readFileStart(path, { maxBytes: NETWORK_CONFIG_BYTES }).catch(
    (error: unknown) => {
      throw new TwillError('config', `cannot read the network configuration ${path}: ${reasonOf(error)}`, {
        cause: error,
        hint: 'mount the ConfigMap with net-conf.json there, or name the file with --net-config-path',
      });
    },
  );
  if (isPart) throw tooLong(path);
  const text = asInKubernetes(bytes.toString());
  parseNetworkConfig(text, path);
  return {
    where: path,
    hint: 'kubectl -n kube-flannel edit configmap kube-flannel-cfg, and restart the agents',
    text,
    read: async () => text,
  };
}

// Without a backend flannel takes udp, whatever its documents say.
function asInKubernetes(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  const named = withKnownNames(value, [...IGNORED, 'Backend']);
  if (named === null || typeof named !== 'object' || Array.isArray(named)) return text;
  const fields = Object.entries(named).filter(([name]) => !IGNORED.includes(name));
  return JSON.stringify({ Backend: { Type: 'udp' }, ...Object.fromEntries(fields) });
}
