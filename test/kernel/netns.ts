// Private network namespaces for tests against the real kernel. Programs are run inside; the test itself
// stays outside. They are entered with nsenter, which leaves the mounts alone (`ip netns exec` makes new ones
// for /sys).
import { type Exec, exec } from '../../agent/base/exec.ts';

/** A network namespace with nothing in it but a loopback link that is up. */
export interface Netns extends AsyncDisposable {
  /** Unique on this machine; its file is /run/netns/<name>. */
  readonly name: string;
  /** Runs a program inside and gives its stdout. Throws an error with its stderr when the exit code is not 0. */
  exec(file: string, ...args: readonly string[]): Promise<string>;
  /** The agent's `exec`, inside: for code that is given one. */
  readonly run: Exec;
}

let count = 0;

/** Makes a namespace; disposing of it removes it. */
export async function createNetns(label = 'n'): Promise<Netns> {
  const name = `tw-${process.pid}-${count++}-${label}`;
  const run: Exec = (file, args, options) =>
    exec('nsenter', [`--net=/run/netns/${name}`, '--', file, ...args], options);
  await succeed(exec, 'ip', ['netns', 'add', name]);
  const netns: Netns = {
    name,
    run,
    exec: (file, ...args) => succeed(run, file, args),
    [Symbol.asyncDispose]: async () => {
      await exec('ip', ['netns', 'del', name]);
    },
  };
  try {
    await netns.exec('ip', 'link', 'set', 'lo', 'up');
  } catch (error) {
    await netns[Symbol.asyncDispose]();
    throw error;
  }
  return netns;
}

async function succeed(run: Exec, file: string, args: readonly string[]): Promise<string> {
  const result = await run(file, args);
  if (result.exitCode === 0) return result.stdout;
  throw new Error(`${[file, ...args].join(' ')}: exit code ${result.exitCode}: ${result.stderr.trim()}`);
}

/**
 * The namespace that the test runs in itself, for code that reads the rule set of its own namespace. Disposing of it
 * removes the rules that the kernel has for nftables.
 */
export function ownNetns(): Netns {
  return {
    name: 'own',
    run: exec,
    exec: (file, ...args) => succeed(exec, file, args),
    [Symbol.asyncDispose]: async () => {
      await succeed(exec, 'nft', ['flush', 'ruleset']);
    },
  };
}
