// The process: arguments, environment, standard streams, signals and exit codes. No other file touches them. Decisions
// about them are made in cli/.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { systemClock } from './base/clock.ts';
import { asTwillError, errnoOf } from './base/errors.ts';
import type { LogOptions } from './base/log.ts';
import { printableLines } from './base/printable.ts';
import type { CommandContext } from './cli/context.ts';
import { dispatch, type Invocation, logOptionsOf, parseInvocation } from './cli/dispatch.ts';
import { describeFailure } from './cli/failure.ts';
import { LIMITS } from './cli/limits.ts';

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

/**
 * The default of these is to end the process; no one of them ends the agent. The signals of a terminal that stop a
 * process for a while keep their meaning.
 */
const IGNORED_BY_RUN = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
] as const;
/** Node's own thread opens the debugger, on a busy machine late. */
const DEBUGGER_LOOKS_MS = [0, 100, 1_000];

const stop = new AbortController();
let invocation: Invocation | undefined;
let stopCode = 0;

const context: CommandContext = {
  signal: stop.signal,
  environment: process.env,
  readVersion: () => {
    const file = new URL('../../package.json', import.meta.url);
    return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version;
  },
  print: (text) => write(printableLines(text)),
  ...(process.stdout.isTTY
    ? {
        terminal: {
          get columns() {
            return process.stdout.columns;
          },
          draw: async (lines, options) => write((await import('./base/terminal.ts')).paint(lines, options)),
        },
      }
    : {}),
  openInput: () => addAbortSignal(stop.signal, process.stdin),
};

function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === null || error === undefined || errnoOf(error) === 'EPIPE') resolve();
      else reject(asTwillError(error, 'host', 'cannot write to standard output'));
    });
  });
}

// A signal is the normal end of `run`. Any other command is interrupted by it.
function onSignal(name: keyof typeof SIGNAL_NUMBERS): void {
  const code = 128 + SIGNAL_NUMBERS[name];
  if (stop.signal.aborted) process.exit(code);
  stopCode = invocation?.command === 'run' ? 0 : code;
  stop.abort(new Error(`stopped by ${name}`));
  void systemClock.sleep(LIMITS.stopMs).then(() => {
    process.stderr.write(`twill: ended without waiting any longer, ${LIMITS.stopMs} ms after ${name}\n`);
    process.exit(stopCode);
  });
}

async function ignoreSignal(name: string): Promise<void> {
  const { createLogger } = await import('./base/log.ts');
  createLogger('twill', logOptions()).info(`${name} is ignored`);
}

// Node opened it where SIGUSR1 came before our listener. `close` of node:inspector is the same function, and that
// module takes 1.5 MiB.
async function closeDebugger(): Promise<void> {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--inspect(?:-brk|-wait)?(?:[\s=]|$)/.test(options)) return;
  for (const ms of DEBUGGER_LOOKS_MS) {
    await systemClock.sleep(ms);
    (process as { readonly _debugEnd?: () => void })._debugEnd?.();
  }
}

function logOptions(): LogOptions {
  return logOptionsOf(invocation ?? { command: 'help', args: [] }, process.env);
}

function fail(thrown: unknown): never {
  if (isStop(thrown)) process.exit(stopCode);
  const { text, exitCode } = describeFailure(
    thrown,
    logOptions(),
    new Date(systemClock.wallMs()).toISOString(),
  );
  process.stderr.write(text);
  process.exit(exitCode);
}

// Whether something was thrown only because we were told to stop. It may be the cause of other errors.
function isStop(thrown: unknown): boolean {
  if (!stop.signal.aborted) return false;
  if (thrown === stop.signal.reason || (thrown instanceof Error && thrown.name === 'AbortError')) return true;
  return thrown instanceof Error && thrown.cause !== undefined && isStop(thrown.cause);
}

process.on('SIGINT', () => onSignal('SIGINT'));
process.on('SIGTERM', () => onSignal('SIGTERM'));
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// Warnings of the runtime are for programmers, not for operators.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (logOptions().level === 'debug')
    process.stderr.write(`${printableLines(warning.stack ?? warning.message)}\n`);
});
// A closed log is no reason to end. `print` reports its own failures.
process.stderr.on('error', () => undefined);
process.stdout.on('error', () => undefined);

async function main(): Promise<never> {
  void closeDebugger();
  const [, program = '', ...args] = process.argv;
  invocation = parseInvocation(basename(program), args);
  if (invocation.command === 'run') {
    for (const name of IGNORED_BY_RUN) process.on(name, () => void ignoreSignal(name));
  }
  await dispatch(invocation, context);
  process.exit(stop.signal.aborted ? stopCode : 0);
}

main().catch(fail);
