import { describe, expect, it } from 'vitest';
import { asTwillError, EXIT_CODES, errnoOf, messageOf, TwillError } from '../../../agent/base/errors.ts';

const systemError = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

describe('operating errors', () => {
  it('operating errors have an exit code of their own for each kind, and none is 0', () => {
    const codes = Object.values(EXIT_CODES);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).not.toContain(0);
    expect(EXIT_CODES.internal).toBe(1);
  });

  it.each([
    [new Error('one\n  two\r\nthree\n'), 'one two three'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
  ])('messageOf gives one line for %j', (thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
  });

  it.each([
    [systemError('ENOENT'), 'ENOENT'],
    [new TwillError('host', 'x', { errno: 'EPERM' }), 'EPERM'],
    [new TwillError('host', 'x', { cause: systemError('EPERM') }), undefined],
    [Object.assign(new Error('x'), { code: 7 }), undefined],
    [new Error('x'), undefined],
    [{ code: 'ENOENT' }, undefined],
    ['ENOENT', undefined],
  ])('errnoOf finds the name of the system error in %s', (thrown, errno) => {
    expect(errnoOf(thrown)).toBe(errno);
  });

  it('operating errors are converted once, and keep the thrown value as their cause', () => {
    const cause = systemError('EACCES');
    const error = asTwillError(cause, 'host', 'cannot write /x', 'become root');
    expect(error).toMatchObject({
      code: 'host',
      message: 'cannot write /x: EACCES: it failed',
      hint: 'become root',
      errno: 'EACCES',
      cause,
    });
    expect(asTwillError(error, 'datastore', 'something else')).toBe(error);
    expect(asTwillError('odd', 'internal', 'what').message).toBe('what: odd');
  });
});
