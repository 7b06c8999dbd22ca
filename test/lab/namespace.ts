// A network namespace, and the ways to run programs in it. Hosts have mount and UTS namespaces as well, so that they
// differ in host name, machine id and /run. nsenter enters those through the process that holds them.
//
// nsenter starts the programs: `ip netns exec` mounts /sys anew and so hides the cgroups.
import { type ExecOptions, type ExecResult, exec } from '../../agent/base/exec.ts';

/** The folder in which iproute2 keeps the names of namespaces. */
export const NETNS_FOLDER = '/run/netns';

export interface Namespace {
  readonly name: string;
  /** The command line that runs `argv` in here, for `spawn` and for messages. */
  readonly command: (argv: readonly string[]) => readonly [string, ...string[]];
  /** Runs a program in here until it ends, with any exit code. */
  readonly exec: (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;
  /** Runs a program in here and returns its output. Throws with the output if the exit code is not zero. */
  readonly run: (argv: readonly string[], options?: ExecOptions) => Promise<string>;
  /** Runs lines of `ip` in here in one process, as `ip -batch` does. */
  readonly ip: (...lines: readonly string[]) => Promise<string>;
}

/** Runs a program and returns its output. Throws with the output if the exit code is not zero. */
export async function run(argv: readonly string[], options?: ExecOptions): Promise<string> {
  const [file = '', ...args] = argv;
  const { exitCode, stdout, stderr } = await exec(file, args, options);
  if (exitCode !== 0)
    throw new Error(`${argv.join(' ')}: exit code ${exitCode}: ${(stderr || stdout).trim()}`);
  return stdout;
}

/** The existing namespace of that name. `holder` is the process whose mount and UTS namespaces are used. */
export function namespaceOf(name: string, holder?: number): Namespace {
  const enter =
    holder === undefined
      ? [`--net=${NETNS_FOLDER}/${name}`]
      : [`--target=${holder}`, '--mount', '--uts', '--net'];
  const command = (argv: readonly string[]) => ['nsenter', ...enter, '--', ...argv] as const;
  return namespaceBy(name, command, (lines) =>
    run(['ip', '-n', name, '-batch', '-'], { input: `${lines.join('\n')}\n` }),
  );
}

function namespaceBy(
  name: string,
  command: Namespace['command'],
  ip: (lines: readonly string[]) => Promise<string>,
): Namespace {
  return {
    name,
    command,
    exec: (argv, options) => {
      const [file, ...args] = command(argv);
      return exec(file, args, options);
    },
    run: (argv, options) => run(command(argv), options),
    ip: (...lines) => ip(lines),
  };
}

/** The network namespace of a process, such as a container's. It is there while the process is. */
export function namespaceOfProcess(name: string, pid: number): Namespace {
  return networkOf(name, [`--target=${pid}`, '--net']);
}

/** The network namespace that a file stands for. */
export function namespaceAt(name: string, path: string): Namespace {
  return networkOf(name, [`--net=${path}`]);
}

function networkOf(name: string, enter: readonly string[]): Namespace {
  const command = (argv: readonly string[]) => ['nsenter', ...enter, '--', ...argv] as const;
  return namespaceBy(name, command, (lines) =>
    run(command(['ip', '-batch', '-']), { input: `${lines.join('\n')}\n` }),
  );
}

/** Makes a namespace with its loopback up. */
export async function makeNamespace(name: string): Promise<Namespace> {
  await run(['ip', 'netns', 'add', name]);
  const made = namespaceOf(name);
  await made.ip('link set lo up');
  return made;
}
