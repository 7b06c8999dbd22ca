// A network namespace, and how programs are run in it. Hosts have a mount and a UTS namespace as well, so
// that they differ in host name, machine id and /run; those are entered through the process that holds them.
//
// Programs are started by nsenter and not by `ip netns exec`, which would hide the cgroups by mounting /sys anew.
import { type ExecOptions, type ExecResult, exec } from '../../agent/base/exec.ts';

/** Where iproute2 keeps the names of namespaces. */
export const NETNS_FOLDER = '/run/netns';

export interface Namespace {
  readonly name: string;
  /** The command line that runs `argv` in here, for `spawn` and for people. */
  readonly command: (argv: readonly string[]) => readonly [string, ...string[]];
  /** Runs a program in here to its end, whatever its exit code is. */
  readonly exec: (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;
  /** Runs a program in here and gives its output. A non-zero exit code is an error with what it printed. */
  readonly run: (argv: readonly string[], options?: ExecOptions) => Promise<string>;
  /** Runs lines of `ip` in here, all in one process, as `ip -batch` does. */
  readonly ip: (...lines: readonly string[]) => Promise<string>;
}

/** Runs a program and gives its output. A non-zero exit code is an error with what it printed. */
export async function run(argv: readonly string[], options?: ExecOptions): Promise<string> {
  const [file = '', ...args] = argv;
  const { exitCode, stdout, stderr } = await exec(file, args, options);
  if (exitCode !== 0)
    throw new Error(`${argv.join(' ')}: exit code ${exitCode}: ${(stderr || stdout).trim()}`);
  return stdout;
}

/** The namespace of that name, which must exist; `holder` is the process to take mounts and host name from. */
export function namespaceOf(name: string, holder?: number): Namespace {
  const enter =
    holder === undefined
      ? [`--net=${NETNS_FOLDER}/${name}`]
      : [`--target=${holder}`, '--mount', '--uts', '--net'];
  const command = (argv: readonly string[]) => ['nsenter', ...enter, '--', ...argv] as const;
  return {
    name,
    command,
    exec: (argv, options) => {
      const [file, ...args] = command(argv);
      return exec(file, args, options);
    },
    run: (argv, options) => run(command(argv), options),
    ip: (...lines) => run(['ip', '-n', name, '-batch', '-'], { input: `${lines.join('\n')}\n` }),
  };
}

/** Makes a namespace with its loopback up. */
export async function makeNamespace(name: string): Promise<Namespace> {
  await run(['ip', 'netns', 'add', name]);
  const made = namespaceOf(name);
  await made.ip('link set lo up');
  return made;
}
