// Finds and runs the command of a command line. A command is loaded only when it is run, because start-up time counts.
import { TwillError } from '../base/errors.ts';
import type { LogOptions } from '../base/log.ts';
import { echo, isSwitchedOn, parseCommandLine, readFlagValues } from '../options/flag-values.ts';
import { nearestWord } from '../options/nearest.ts';
import { readAgentOptions, readLogOptions } from '../options.ts';
import type { CommandContext } from './context.ts';
import {
  COMMANDS,
  type CommandName,
  formatCommandHelp,
  formatHelp,
  hasOwnOptions,
  isCommandName,
} from './help.ts';

/** A command and the arguments after it. */
export interface Invocation {
  readonly command: CommandName;
  readonly args: readonly string[];
}

/**
 * Finds the command: the first argument, or `run` if the program is called as `twilld` or with flags only, like
 * flanneld. Fails as `usage` for unknown commands.
 */
export function parseInvocation(program: string, args: readonly string[]): Invocation {
  const [first, ...rest] = args;
  if (program === 'twilld') return { command: 'run', args };
  if (first === undefined) throw misuse('no command given');
  if (/^--?h(?:elp)?$/.test(first)) return { command: 'help', args: rest };
  if (first.startsWith('-')) return { command: 'run', args };
  if (isCommandName(first)) return { command: first, args: rest };
  const near = nearestWord(first, Object.keys(COMMANDS));
  throw misuse(`unknown command ${echo(first)}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

// The agent's flags that a command with options of its own has, too.
const STOPS = /^--?(?:h|help|version)$/;

/** Runs a command to its end. */
export async function dispatch(invocation: Invocation, context: CommandContext): Promise<void> {
  const { command, args } = invocation;
  const commandLine = parseCommandLine(hasOwnOptions(command) ? args.filter((arg) => STOPS.test(arg)) : args);
  const { operands } = commandLine;
  if (isSwitchedOn(commandLine, 'version')) {
    await context.print(`twill ${context.readVersion()}\n`);
    return;
  }
  if (command === 'help' || isSwitchedOn(commandLine, 'help')) {
    await printHelp(command, operands, context);
    return;
  }
  if (command === 'status') return (await import('./status.ts')).statusCommand(args, context);
  if (command === 'docker') return (await import('./docker.ts')).dockerCommand(args, context);
  if (command === 'podman') return (await import('./podman.ts')).podmanCommand(args, context);
  if (command === 'docker-opts') return (await import('./docker-opts.ts')).dockerOptsCommand(args, context);
  if (command !== 'network' && operands.length > 0) {
    const [operand = ''] = operands;
    throw new TwillError('usage', `unexpected argument ${echo(operand)}`, {
      hint: isCommandName(operand)
        ? `the command comes first: twill ${operand} …`
        : `\`twill help ${command}\` lists its arguments`,
    });
  }
  const options = await readAgentOptions(commandLine, context.environment);
  switch (command) {
    case 'run':
      return (await import('./run.ts')).runCommand(options, context);
    case 'plan':
      return (await import('./plan.ts')).planCommand(options, context);
    case 'hand-back':
      return (await import('./hand-back.ts')).handBackCommand(options, context);
    case 'cleanup':
      return (await import('./cleanup.ts')).cleanupCommand(options, context);
    case 'network':
      return (await import('./network.ts')).networkCommand(operands, options, context);
  }
}

/** How the operator wants the log. For an invalid command line it is the default. */
export function logOptionsOf(invocation: Invocation, environment: CommandContext['environment']): LogOptions {
  try {
    return readLogOptions(readFlagValues(parseCommandLine(invocation.args), environment), environment);
  } catch {
    return { level: 'info', format: 'text' };
  }
}

async function printHelp(
  command: CommandName,
  operands: readonly string[],
  context: CommandContext,
): Promise<void> {
  const topic = command === 'help' ? operands[0] : command;
  if (topic === undefined) {
    await context.print(formatHelp(context.readVersion()));
  } else {
    await context.print(formatCommandHelp(parseInvocation('twill', [topic]).command));
  }
}

function misuse(message: string): TwillError {
  return new TwillError('usage', message, { hint: '`twill help` lists the commands' });
}
