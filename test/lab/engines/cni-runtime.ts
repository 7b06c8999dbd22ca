// A container runtime as far as CNI sees one: it calls the plugins of a list one after the other, and gives each the
// result of the one before.
import type { ExecOptions } from '../../../agent/base/exec.ts';

export interface CniPod {
  readonly id: string;
  /** The path of its network namespace. */
  readonly netns: string;
}

export interface CniRuntime {
  /** Runs a program on the host, and gives its output. */
  readonly run: (argv: readonly string[], options: ExecOptions) => Promise<string>;
  /** The command `env` of that host. */
  readonly env: readonly string[];
  /** The file of a plugin on that host. */
  readonly programOf: (type: string) => string;
  /** The folders in which a plugin looks for others. */
  readonly folders: readonly string[];
}

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
}

interface Result {
  readonly ips: readonly { readonly address: string }[];
}

/** Makes a pod's network by the text of a list. Returns the pod's address. */
export async function addByCni(
  runtime: CniRuntime,
  conflist: string,
  pod: CniPod,
  portMappings: readonly PortMapping[] = [],
): Promise<string> {
  const { plugins, input } = readList(conflist, portMappings);
  let prevResult: Result | undefined;
  for (const plugin of plugins)
    prevResult = JSON.parse(await call(runtime, 'ADD', pod, plugin.type, input(plugin, { prevResult })));
  const [first] = prevResult?.ips ?? [];
  if (first === undefined) throw new Error('the pod has no address');
  return first.address.replace(/\/.*/, '');
}

/** Deletes a pod's network by the text of a list. */
export async function deleteByCni(runtime: CniRuntime, conflist: string, pod: CniPod): Promise<void> {
  const { plugins, input } = readList(conflist, []);
  for (const plugin of plugins.toReversed()) await call(runtime, 'DEL', pod, plugin.type, input(plugin, {}));
}

interface Plugin {
  readonly type: string;
  readonly capabilities?: object;
}

function readList(conflist: string, portMappings: readonly PortMapping[]) {
  const { cniVersion, name, plugins } = JSON.parse(conflist) as {
    readonly cniVersion: string;
    readonly name: string;
    readonly plugins: readonly Plugin[];
  };
  const input = (plugin: Plugin, more: object): string => {
    const runtimeConfig = plugin.capabilities === undefined ? {} : { runtimeConfig: { portMappings } };
    return JSON.stringify({ ...plugin, cniVersion, name, ...runtimeConfig, ...more });
  };
  return { plugins, input };
}

async function call(
  { run, env, programOf, folders }: CniRuntime,
  command: string,
  { id, netns }: CniPod,
  type: string,
  input: string,
): Promise<string> {
  const pod = [`CNI_CONTAINERID=${id}`, `CNI_NETNS=${netns}`, 'CNI_IFNAME=eth0'];
  const words = [`CNI_COMMAND=${command}`, ...pod, `CNI_PATH=${folders.join(':')}`];
  return run([...env, ...words, programOf(type)], { input });
}
