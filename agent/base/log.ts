// One line per event, on stderr: `2026-01-31T12:00:00.000Z info  lease: took 10.5.34.0/24 ttl=86400`.
// Values may come from the network: anything but plain words is quoted, without line breaks and terminal codes.
import loglevel from 'loglevel';
import { systemClock } from './clock.ts';
import { printable, printableJson, shorten } from './printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Named values after the message, printed as `name=value`. */
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

/** The text of one event, without its line end. */
export function formatEvent(
  time: string,
  level: LogLevel,
  component: string,
  message: string,
  fields: LogFields = {},
): string {
  const words = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${formatValue(value)}`],
  );
  return [time, level.padEnd(5), `${component}: ${printable(message)}`, ...words].join(' ');
}

/** A logger that writes events of `level` and above to `write`. The default sink is stderr. */
export function createLogger(
  component: string,
  level: LogLevel,
  write: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Logger {
  const sink = loglevel.getLogger(Symbol(component));
  sink.methodFactory = (method) => {
    const name = method as LogLevel;
    return (source: string, message: string, fields?: LogFields) =>
      write(formatEvent(new Date(systemClock.wallMs()).toISOString(), name, source, message, fields));
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
