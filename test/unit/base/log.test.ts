import { describe, expect, it } from 'vitest';
import { createLogger, LOG_FORMATS, type LogFields, type LogLevel } from '../../../agent/base/log.ts';

const T = '2026-01-31T12:00:00.000Z';
const format = (message: string, fields?: LogFields): string =>
  LOG_FORMATS.text({ time: T, level: 'info', part: 'lease', message, fields });

describe('a log event', () => {
  it('a log event is one line of time, level, part, message and fields', () => {
    expect(format('took 10.5.34.0/24', { ttl: 86_400, dual: false, gone: undefined, by: 'h1' })).toBe(
      `${T} info  lease: took 10.5.34.0/24 ttl=86400 dual=false by=h1`,
    );
    expect(LOG_FORMATS.text({ time: T, level: 'error', part: 'x', message: 'y' })).toBe(`${T} error x: y`);
  });

  it.each([
    ['10.5.34.0/24', '10.5.34.0/24'],
    ['fd00::1', 'fd00::1'],
    [
      '/coreos.com/network/subnets/10.5.34.0-24&fd00::-64',
      '/coreos.com/network/subnets/10.5.34.0-24&fd00::-64',
    ],
    ['[a,b]@c+d%e_f', '[a,b]@c+d%e_f'],
    ['', '""'],
    ['two words', '"two words"'],
    ['a=b', '"a=b"'],
    ['say "x"', String.raw`"say \"x\""`],
    ['back\\slash', String.raw`"back\\slash"`],
    ['x\n2026 error lease: forged', String.raw`"x\n2026 error lease: forged"`],
    ['x\r', String.raw`"x\r"`],
    ['\u001b[2J', String.raw`"\u001b[2J"`],
    ['\u0000', String.raw`"\u0000"`],
    // Characters that JSON leaves as they are: DEL, C1 controls with their own escape, separators, marks of direction.
    ['\u007f', String.raw`"\u007f"`],
    ['\u009b2J', String.raw`"\u009b2J"`],
    ['\u2028', String.raw`"\u2028"`],
    ['a\u202eb', String.raw`"a\u202eb"`],
    ['\u{e0041}', String.raw`"\udb40\udc41"`],
    ['\ud800', String.raw`"\ud800"`],
    ['Zürich', '"Zürich"'],
  ])('a log event writes the value %j as %s', (value, text) => {
    expect(format('m', { v: value })).toBe(`${T} info  lease: m v=${text}`);
    if (text.startsWith('"')) expect(JSON.parse(text)).toBe(value);
  });

  it.each(['a\nb', 'a\r\n\u001b\u009bb', 'a\u0000b', 'a\u2028b', 'a\u202eb', 'a\u007fb'])(
    'a log event stays on one line with the message %j',
    (message) => {
      expect(format(message)).toBe(`${T} info  lease: a b`);
    },
  );
});

describe('a logger', () => {
  const record = (level: LogLevel): readonly string[] => {
    const lines: string[] = [];
    const log = createLogger('a', { level, format: 'text' }, (line) => lines.push(line.slice(T.length + 1)));
    for (const source of [log, log.for('b')]) {
      source.debug('1');
      source.info('2', { n: 2 });
      source.warn('3');
      source.error('4');
    }
    return lines;
  };

  it.each<[LogLevel, number]>([
    ['debug', 0],
    ['info', 1],
    ['warn', 2],
    ['error', 3],
  ])('of level %s writes that level and those above, for all its parts', (level, from) => {
    const all = ['debug a: 1', 'info  a: 2 n=2', 'warn  a: 3', 'error a: 4'].slice(from);
    expect(record(level)).toEqual([...all, ...all.map((line) => line.replace(' a:', ' b:'))]);
  });

  it('a logger has its own level and sink', () => {
    expect(record('error')).toHaveLength(2);
    expect(record('debug')).toHaveLength(8);
  });

  it('a logger writes the time of the machine first', () => {
    const lines: string[] = [];
    createLogger('a', { level: 'info', format: 'text' }, (line) => lines.push(line)).info('x');
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info {2}a: x$/);
  });

  it('a logger writes JSON, an object a line, which no text from others breaks', () => {
    const lines: string[] = [];
    const log = createLogger('a', { level: 'debug', format: 'json' }, (line) => lines.push(line));
    log.warn('took "x"\n{}', { ttl: 86_400, dual: false, gone: undefined, by: 'h1\u202e\u001b[2J' });
    const [line = ''] = lines;
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(line)).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      level: 'warn',
      part: 'a',
      msg: 'took "x"\n{}',
      ttl: 86_400,
      dual: false,
      by: 'h1\u202e\u001b[2J',
    });
  });

  it.each<[LogLevel, string]>([
    ['debug', '<7>debug a: x n=1'],
    ['info', '<6>info  a: x n=1'],
    ['warn', '<4>warn  a: x n=1'],
    ['error', '<3>error a: x n=1'],
  ])("a line of level %s for the journal has syslog's number and no time", (level, text) => {
    const lines: string[] = [];
    createLogger('a', { level: 'debug', format: 'journal' }, (line) => lines.push(line))[level]('x', {
      n: 1,
    });
    expect(lines).toEqual([text]);
  });
});
