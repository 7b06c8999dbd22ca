// One line per event, on stderr: `2026-01-31T12:00:00.000Z info  lease: took 10.5.34.0/24 ttl=86400`, or an object of
// JSON. Values may come from the network: anything but plain words is quoted, without line breaks and terminal codes.
import loglevel from 'loglevel';
import { systemClock } from './clock.ts';
import { printable, printableJson, shorten } from './printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * `text`: time, level, part, message and fields in words. `journal`: the same for systemd's journal, which notes the
 * time itself and takes the level from a number in front. `json`: an object a line.
 */
export type LogFormat = 'text' | 'journal' | 'json';

/** How the log is written. */
export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
}

/** Named values after the message, printed as `name=value`. No name is `time`, `level`, `part` or `msg`. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes the events of one component. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger of the same sink and level for another component. */
  for(component: string): Logger;
}

const PLAIN = /^[\w./:@,+\-[\]&%]+$/;

function formatValue(value: string | number | boolean): string {
  const text = shorten(String(value));
  return PLAIN.test(text) ? text : printableJson(text);
}

/** An event of a component. */
export interface LogEvent {
  /** The wall clock in RFC 3339. */
  readonly time: string;
  readonly level: LogLevel;
  readonly part: string;
  readonly message: string;
  readonly fields?: LogFields | undefined;
}

// The numbers of syslog, of which a line for the journal has one in front.
const PRIORITY: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

/** The texts of one event, without their line ends. */
export const LOG_FORMATS: Readonly<Record<LogFormat, (event: LogEvent) => string>> = {
  text: (event) => `${event.time} ${words(event)}`,
  journal: (event) => `<${PRIORITY[event.level]}>${words(event)}`,
  json: ({ time, level, part, message, fields }) =>
    printableJson({ time, level, part, msg: shorten(message), ...shortened(fields) }),
};

function words({ level, part, message, fields = {} }: LogEvent): string {
  const named = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${formatValue(value)}`],
  );
  return [level.padEnd(5), `${part}: ${printable(message)}`, ...named].join(' ');
}

function shortened(fields: LogFields = {}): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? shorten(value) : value]),
  );
}

/** A logger that writes events of `level` and above to `write`. The default sink is stderr. */
export function createLogger(
  component: string,
  { level, format }: LogOptions,
  write: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Logger {
  const sink = loglevel.getLogger(Symbol(component));
  sink.methodFactory = (method) => {
    const name = method as LogLevel;
    return (part: string, message: string, fields?: LogFields) => {
      const time = new Date(systemClock.wallMs()).toISOString();
      write(LOG_FORMATS[format]({ time, level: name, part, message, fields }));
    };
  };
  sink.setLevel(level, false);
  const make = (source: string): Logger => ({
    debug: (message, fields) => sink.debug(source, message, fields),
    info: (message, fields) => sink.info(source, message, fields),
    warn: (message, fields) => sink.warn(source, message, fields),
    error: (message, fields) => sink.error(source, message, fields),
    for: make,
  });
  return make(component);
}
