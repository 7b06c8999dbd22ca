// How the process handles signals and closed pipes, under any command.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { TWILL } from '../lab/paths.ts';
import { waitFor } from '../lab/wait.ts';

interface StartOptions {
  /** Flags for Node. Default: none. */
  readonly nodeOptions?: string;
  /** A program and its arguments, which runs the process. Default: none. */
  readonly within?: readonly string[];
}

function start(
  args: readonly string[],
  { nodeOptions = '', within = [] }: StartOptions = {},
): ChildProcessWithoutNullStreams {
  const [file = '', ...rest] = [...within, ...TWILL, ...args];
  return spawn(file, rest, { env: { ...process.env, NODE_OPTIONS: nodeOptions } });
}

/** A process that has got a SIGUSR1 before its start. Node keeps it, and opens the debugger as soon as it can. */
const SIGNALLED = ['env', '--block-signal=USR1', 'sh', '-c', 'kill -USR1 $$; exec "$@"', 'sh'] as const;

/** The process looks for a debugger for this time. */
const CLOSED_AFTER_MS = 1_500;

/** The debugger's port, by the line that Node prints. */
function portOf(said: string): number | undefined {
  const port = /Debugger listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** Collects the output of a process while it runs. */
function outputOf({ stderr }: ChildProcessWithoutNullStreams): () => string {
  let said = '';
  stderr.setEncoding('utf8').on('data', (more: string) => {
    said += more;
  });
  return () => said;
}

/** Whether something listens at a port of this machine. */
function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

describe('the process', () => {
  // A datastore that accepts connections and never answers, so that a command waits for it.
  let silent: Server;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    silent = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('the process ends on %s without output, with exit code %i', async (signal, exitCode) => {
    const { port } = silent.address() as AddressInfo;
    const child = start(['network', 'get', `--etcd-endpoints=http://127.0.0.1:${port}`]);
    try {
      const said = text(child.stderr);
      await once(silent, 'connection');
      child.kill(signal);
      const [code] = (await once(child, 'exit')) as [number | null];
      expect({ code, said: await said }).toEqual({ code: exitCode, said: '' });
    } finally {
      child.kill('SIGKILL');
    }
  });

  const waiting = (options?: StartOptions): ChildProcessWithoutNullStreams => {
    const { port } = silent.address() as AddressInfo;
    return start(['network', 'get', `--etcd-endpoints=http://127.0.0.1:${port}`], options);
  };

  it('the process opens no debugger on SIGUSR1', async () => {
    const child = waiting();
    try {
      const said = text(child.stderr);
      await once(silent, 'connection');
      child.kill('SIGUSR1');
      // Signals of one process arrive in the order of their numbers, and SIGUSR1 comes first.
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number | null];
      expect({ code, said: await said }).toEqual({ code: 143, said: '' });
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('the process closes the debugger that a SIGUSR1 before its first line opened', async () => {
    const child = waiting({ nodeOptions: '--inspect-port=0', within: SIGNALLED });
    try {
      const said = outputOf(child);
      const connected = once(silent, 'connection');
      const port = await waitFor('the debugger was opened', 5_000, () => portOf(said()));
      await waitFor('the debugger is closed', 5_000, async () => !(await isOpen(port)));
      await connected;
      expect(child.exitCode).toBe(null);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('the process leaves a debugger that the operator asked for', async () => {
    const child = waiting({ nodeOptions: '--inspect=127.0.0.1:0' });
    try {
      const said = outputOf(child);
      const port = await waitFor('the debugger is open', 5_000, () => portOf(said()));
      await once(silent, 'connection');
      await systemClock.sleep(CLOSED_AFTER_MS);
      expect(await isOpen(port)).toBe(true);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('the process ends on SIGHUP unless it is the agent', async () => {
    const child = waiting();
    await once(silent, 'connection');
    child.kill('SIGHUP');
    expect(await once(child, 'exit')).toEqual([null, 'SIGHUP']);
  });

  it('the process succeeds if the reader of its output has gone', async () => {
    const child = start(['help', 'run']);
    child.stdout.destroy();
    const said = text(child.stderr);
    const [code] = (await once(child, 'exit')) as [number | null];
    expect({ code, said: await said }).toEqual({ code: 0, said: '' });
  });

  it('the process prints the version of its package', async () => {
    const child = start(['--version']);
    expect(await text(child.stdout)).toMatch(/^twill \d+\.\d+\.\d+\n$/);
  });
});
