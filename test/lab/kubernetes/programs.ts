// The programs of Kubernetes that the suites run: those in the folder that KUBEBUILDER_ASSETS names, else built once
// from the public modules of one version. An older etcd than 3.6 breaks some watches of this API server.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuiltVersion, etcdBuildFailure, etcdProgram } from '../etcd-versions.ts';
import { buildFailure, buildOnce, type GoProgram, goCacheFolder, goEnvironment } from '../go-program.ts';
import { run } from '../namespace.ts';

const VERSION = '1.34.4';
/** The version of etcd that is run with it. */
export const KUBERNETES_ETCD: BuiltVersion = '3.6.16';
const SERVER = ['kube-apiserver', 'kubectl'] as const;
const WHOLE = ['kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'] as const;
export type KubernetesProgram = (typeof SERVER | typeof WHOLE)[number] | 'etcd';

/** A first build compiles the whole of Kubernetes: 5 minutes on two idle processors. */
const BUILD_LIMIT_MS = 25 * 60_000;
const DOWNLOAD_LIMIT_MS = 5 * 60_000;

/** The folder of the built programs. */
export function kubernetesCacheFolder(): string {
  return goCacheFolder('kubernetes');
}

/** The path of a program, which exists if it was built or given. */
export function kubernetesProgram(name: KubernetesProgram): string {
  const given = process.env['KUBEBUILDER_ASSETS'];
  if (given) return join(given, name);
  return name === 'etcd' ? etcdProgram(KUBERNETES_ETCD) : builtPath(name);
}

/** Why a program of an API server is missing, on one line; undefined: none is. */
export function kubernetesFailure(): Promise<string | undefined> {
  return failureOf([...SERVER, 'etcd']);
}

/** The same of a cluster of whole nodes. */
export function wholeNodesFailure(): Promise<string | undefined> {
  return failureOf([...SERVER, ...WHOLE, 'etcd']);
}

async function failureOf(names: readonly KubernetesProgram[]): Promise<string | undefined> {
  const missing = names.find((name) => !existsSync(kubernetesProgram(name)));
  if (missing === undefined) return undefined;
  const note =
    missing === 'etcd' ? await etcdBuildFailure(KUBERNETES_ETCD) : await buildFailure(programOf(missing));
  return `needs ${missing}: ${note ?? 'run npm run test:kubernetes, which builds it'}`;
}

/** Builds the programs of Kubernetes that are missing, unless a folder of programs is given. */
export async function buildKubernetes(say: (line: string) => void): Promise<void> {
  if (process.env['KUBEBUILDER_ASSETS']) return;
  for (const name of [...SERVER, ...WHOLE]) await buildOnce(programOf(name), say);
}

function builtPath(name: string): string {
  return join(kubernetesCacheFolder(), `${name}-${VERSION}`);
}

function programOf(name: string): GoProgram {
  const [major = '', minor = ''] = VERSION.split('.');
  const facts = [`gitVersion=v${VERSION}`, `gitMajor=${major}`, `gitMinor=${minor}`];
  const linked = facts.map((fact) => `-X k8s.io/component-base/version.${fact}`).join(' ');
  return {
    title: `${name} ${VERSION}`,
    path: builtPath(name),
    makeModule,
    mainPackage: `k8s.io/kubernetes/cmd/${name}`,
    flags: [`-ldflags=-s -w ${linked}`],
    cgo: false,
    limitMs: BUILD_LIMIT_MS,
  };
}

// Kubernetes replaces its own modules by folders of its repository. The same modules are published with versions.
async function makeModule(folder: string): Promise<string> {
  const file = join(folder, 'go.mod');
  const head = 'module kubernetes\n\ngo 1.24.0\n';
  await writeFile(file, head);
  const words = ['go', '-C', folder, 'mod', 'download', '-json', `k8s.io/kubernetes@v${VERSION}`];
  const downloaded: unknown = JSON.parse(
    await run(words, { timeoutMs: DOWNLOAD_LIMIT_MS, env: goEnvironment() }),
  );
  const { GoMod } = downloaded as { readonly GoMod: string };
  const staged = [...(await readFile(GoMod, 'utf8')).matchAll(/(\S+) => \.\/staging\//g)];
  const replaced = staged.map(([, module]) => `replace ${module} => ${module} v0.${VERSION.slice(2)}\n`);
  await writeFile(file, `${head}\nrequire k8s.io/kubernetes v${VERSION}\n\n${replaced.join('')}`);
  return folder;
}
