// Parses flags of the command line and the environment in flannel's syntax, that of Go's flag package: `-flag value`,
// `--flag=value`, booleans `--flag` or `--flag=false` but never `--flag false`. Unlike in Go, flags may follow an
// operand, and no argument is silently ignored.
import { TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import type { Flag } from './flag.ts';
import { environmentName, FLAGS, type FlagName, findFlag, spell } from './flags.ts';
import { nearestWord } from './nearest.ts';

/** The values of a flag and their source. */
interface Given {
  /** For messages: `--iface` or `FLANNELD_IFACE`. */
  readonly source: string;
  readonly texts: readonly string[];
}

/** A parsed command line. */
export interface CommandLine {
  readonly flags: ReadonlyMap<string, Given>;
  /** All arguments that are no flag, in order. */
  readonly operands: readonly string[];
}

/** The values of all flags: from the command line, else from the environment, else the default. */
export interface FlagValues {
  bool(name: FlagName<'bool'>): boolean;
  int(name: FlagName<'int'>): number;
  text(name: FlagName<'string'>): string;
  /** Without empty values. */
  list(name: FlagName<'list'>): readonly string[];
  /** The source of the value for messages: the flag or the variable. */
  source(name: FlagName): string;
}

const LIST_FLAGS = '`twill help run` lists all flags';

/** A misplaced argument for a message, without the value in it: that may be a password. */
export function echo(arg: string): string {
  return excerpt(arg.replace(/(?:=|:\/\/|@).*$/s, '…'));
}

/** Parses the arguments of a command. Fails as `usage` for unknown flags and for missing or invalid values. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const flags = new Map<string, Given>();
  const operands: string[] = [];
  const rest = [...args];
  let lastSwitch: string | undefined;
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') {
      operands.push(...rest);
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      if (lastSwitch !== undefined && parseBool(arg) !== undefined) {
        throw usage(
          `${spell(lastSwitch)}: unexpected ${excerpt(arg)} after it`,
          `write ${spell(lastSwitch)}=${arg}`,
        );
      }
      operands.push(arg);
      lastSwitch = undefined;
      continue;
    }
    const { flag, joined } = splitFlag(arg);
    const source = spell(flag.name);
    const text = joined ?? (flag.kind === 'bool' ? 'true' : rest.shift());
    if (text === undefined) throw usage(`${source}: needs a value`);
    lastSwitch = flag.kind === 'bool' && joined === undefined ? flag.name : undefined;
    checkText(flag, text, source);
    flags.set(flag.name, { source, texts: [...(flags.get(flag.name)?.texts ?? []), text] });
  }
  return { flags, operands };
}

/**
 * The values of all flags, from the environment if the command line has none. An empty variable counts as none. Fails
 * as `usage` for an invalid value, and names the variable.
 */
export function readFlagValues(
  commandLine: CommandLine,
  environment: Readonly<Record<string, string | undefined>>,
): FlagValues {
  const given = new Map(commandLine.flags);
  for (const flag of FLAGS as readonly Flag[]) {
    const source = environmentName(flag.name);
    const text = flag.environment === false ? undefined : environment[source];
    if (given.has(flag.name) || text === undefined || text === '') continue;
    checkText(flag, text, source);
    given.set(flag.name, { source, texts: [text] });
  }
  const last = (name: FlagName): string | undefined => given.get(name)?.texts.at(-1);
  return {
    bool: (name) => parseBool(last(name) ?? '') ?? findFlagOf('bool', name).default,
    int: (name) => {
      const flag = findFlagOf('int', name);
      const value = parseInteger(flag, last(name) ?? '') ?? flag.default;
      return Math.min(Math.max(value, flag.min), flag.max);
    },
    text: (name) => last(name) ?? findFlagOf('string', name).default,
    list: (name) => (given.get(name)?.texts ?? []).filter((text) => text !== ''),
    source: (name) => given.get(name)?.source ?? spell(name),
  };
}

/** Whether a switch such as `help` was given on the command line. */
export function isSwitchedOn(commandLine: CommandLine, name: FlagName<'bool'>): boolean {
  return parseBool(commandLine.flags.get(name)?.texts.at(-1) ?? '') === true;
}

function splitFlag(arg: string): { readonly flag: Flag; readonly joined: string | undefined } {
  const equals = arg.indexOf('=');
  const name = (equals < 0 ? arg : arg.slice(0, equals)).replace(/^--?/, '');
  if (name === '' || name.startsWith('-')) throw usage(`not a flag: ${echo(arg)}`, LIST_FLAGS);
  const flag = findFlag(name === 'h' ? 'help' : name);
  if (flag === undefined) {
    const near = nearestWord(
      name,
      FLAGS.map((known) => known.name),
    );
    // Prints only the name: the value of a mistyped flag may be a password.
    const question = near === undefined ? '' : `; did you mean ${spell(near)}?`;
    throw usage(`unknown flag ${excerpt(`--${name}`).slice(1, -1)}${question}`, LIST_FLAGS);
  }
  return { flag, joined: equals < 0 ? undefined : arg.slice(equals + 1) };
}

function checkText(flag: Flag, text: string, source: string): void {
  // Such a value never works. Files of variables for containers keep the quotes, those for a shell do not.
  const bare = flag.kind !== 'string' || !flag.isSecret ? /^(["'])(.*)\1$/su.exec(text)?.[2] : undefined;
  if (bare !== undefined) {
    // A URL may contain a password.
    const isSecret = /:\/\/|@/.test(bare);
    throw usage(
      `${source}: must not be in quotes: they are a part of the value here`,
      isSecret ? undefined : `write ${source}=${bare}`,
    );
  }
  if (flag.kind === 'bool' && parseBool(text) === undefined) {
    throw usage(`${source}: must be true or false, is ${excerpt(text)}`);
  }
  if (flag.kind === 'int') {
    const value = parseInteger(flag, text);
    const isBelow = value === undefined || (value < flag.min && flag.clamps === undefined);
    if (isBelow || (value > flag.max && flag.clamps !== 'both')) {
      throw usage(
        `${source}: must be a whole number from ${flag.min} to ${flag.max}, is ${excerpt(text)}`,
        value === undefined && /^[+-]?0\d/.test(text) ? OCTAL : undefined,
      );
    }
  }
  if (flag.kind === 'string' && text.includes('\0')) throw usage(`${source}: must not contain a zero byte`);
}

/** Longest number, in characters. */
const MAX_DIGITS = 40;

const TRUE: readonly string[] = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE: readonly string[] = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

function parseBool(text: string): boolean | undefined {
  if (TRUE.includes(text)) return true;
  return FALSE.includes(text) ? false : undefined;
}

// A whole number as Go's package strconv reads it: 8080, +8080, 0x1F90, 0b101, 0o17, 017 (octal) and 8_080.
const GO_INTEGER = /^(?:0|[1-9](?:_?\d)*|0x(?:_?[\da-f])+|0b(?:_?[01])+|0o?(?:_?[0-7])+)$/i;
const OCTAL = 'a number that begins with 0 is octal, as in flannel: leave the 0 out';

function parseInteger(flag: Extract<Flag, { kind: 'int' }>, text: string): number | undefined {
  const [, sign = '', digits = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (digits.length > MAX_DIGITS) return undefined;
  if (flag.isDecimal) return /^\d+$/.test(digits) ? signed(sign, Number(digits)) : undefined;
  if (!GO_INTEGER.test(digits)) return undefined;
  const plain = digits.replaceAll('_', '');
  return signed(sign, Number(/^0\d/.test(plain) ? `0o${plain.slice(1)}` : plain));
}

function signed(sign: string, value: number): number {
  return sign === '-' ? 0 - value : value;
}

function findFlagOf<K extends Flag['kind']>(kind: K, name: FlagName<K>): Extract<Flag, { readonly kind: K }> {
  const flag = findFlag(name);
  if (flag?.kind !== kind) throw new Error(`no ${kind} flag ${name}`);
  return flag as Extract<Flag, { readonly kind: K }>;
}

function usage(message: string, hint?: string): TwillError {
  return new TwillError('usage', message, hint === undefined ? {} : { hint });
}
