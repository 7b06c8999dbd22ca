// Command lines and the commands that they run, and the reports of failed commands.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../agent/base/errors.ts';
import type { CommandContext } from '../../agent/cli/context.ts';
import { dispatch, parseInvocation } from '../../agent/cli/dispatch.ts';
import { describeFailure } from '../../agent/cli/failure.ts';
import { hasNetAdmin } from '../../agent/cli/privilege.ts';
import { FLAGS, spell } from '../../agent/options/flags.ts';
import { nearestWord } from '../../agent/options/nearest.ts';

async function print(args: readonly string[], program = 'twill'): Promise<string> {
  let text = '';
  const context: CommandContext = {
    signal: new AbortController().signal,
    environment: {},
    readVersion: () => '1.2.3',
    print: async (more) => {
      text += more;
    },
    openInput: async function* () {},
  };
  await dispatch(parseInvocation(program, args), context);
  return text;
}

describe('a command line', () => {
  it.each([
    ['twilld', [], 'run', []],
    ['twilld', ['--ip-masq'], 'run', ['--ip-masq']],
    ['twilld', ['--help'], 'run', ['--help']],
    ['twill', ['run', '-v', '1'], 'run', ['-v', '1']],
    ['main.js', ['--etcd-prefix=/a'], 'run', ['--etcd-prefix=/a']],
    ['twill', ['-version'], 'run', ['-version']],
    ['twill', ['network', 'get'], 'network', ['get']],
    ['twill', ['--help'], 'help', []],
    ['twill', ['-h'], 'help', []],
    ['twill', ['-help', 'plan'], 'help', ['plan']],
  ] as const)('the command line %s %j runs %s with %j', (program, args, command, rest) => {
    expect(parseInvocation(program, args)).toEqual({ command, args: rest });
  });

  it.each([
    [[], 'no command given'],
    [['netwrok'], 'unknown command "netwrok"; did you mean network?'],
    [['constructor'], 'unknown command "constructor"'],
    [['etcd-password=hunter2'], 'unknown command "etcd-password…"'],
    [['\u001b[31m'], 'unknown command "\\u001b[31m"'],
  ])('the command line %j is refused', (args, message) => {
    expect(() => parseInvocation('twill', args)).toThrow(message);
  });

  it.each([
    [['run', 'now'], 'unexpected argument "now"'],
    [['--ip-masq', 'network', 'get'], 'unexpected argument "network"'],
    // A value that stands where nobody looks for one may be a password.
    [['run', 'etcd-password=hunter2'], 'unexpected argument "etcd-password…"'],
    [['run', 'http://u:hunter2@a'], 'unexpected argument "http…"'],
    [['network', 'etcd-password=hunter2'], 'network takes get or set, not "etcd-password…"'],
    [['network'], 'network needs get or set'],
    [['network', 'delete'], 'network takes get or set, not "delete"'],
    [['docker-opts', '--ip-masq'], 'unexpected argument "--ip-masq"'],
    [['network', 'get', 'x'], 'network get takes no arguments, but got 1'],
    [['network', 'set'], 'network set needs the configuration'],
    [['network', 'set', '{', '}'], 'network set takes one argument, but got 2'],
  ])('the command line %j is refused by the command', async (args, message) => {
    await expect(print(args)).rejects.toMatchObject({ code: 'usage', message });
  });

  it.each([
    ['--version'],
    ['run', '-version'],
    ['network', 'get', '--version'],
    ['docker-opts', '-i', '--version'],
    ['docker', 'network', '--version'],
    ['help', '--version'],
  ])('the command line %s %s prints the version', async (...args) => {
    expect(await print(args.filter((arg) => arg !== undefined))).toBe('twill 1.2.3\n');
  });

  it('run --help prints every flag', async () => {
    const text = await print(['run', '--help']);
    for (const { name, group } of FLAGS) expect(text.includes(spell(name)), name).toBe(group !== 'plan');
  });

  it.each([
    ['plan'],
    ['network'],
    ['cleanup'],
    ['hand-back'],
    ['docker-opts'],
    ['docker'],
    ['podman'],
    ['run'],
  ])('help %s prints the help of the command', async (name) => {
    const text = await print(['help', name]);
    expect(text).toMatch(new RegExp(`^usage: twill ${name}`));
    expect(text).toBe(await print([name, '--help']));
  });

  it('-h prints help even if the rest is invalid', async () => {
    expect(await print(['run', '--etcd-certfile=/c', '-h'])).toContain('usage: twill run');
  });
});

describe('the report of a failure', () => {
  const T = '2026-01-31T12:00:00.000Z';
  const TEXT = { level: 'info', format: 'text' } as const;
  const FULL = { level: 'debug', format: 'text' } as const;

  it('a failure report has the form of the log', () => {
    const error = new TwillError('datastore', 'cannot read\nthe config', { hint: 'start etcd' });
    expect(describeFailure(error, { ...TEXT, format: 'journal' }, T).text).toBe(
      '<3>twill: cannot read the config\n<3>hint: start etcd\n',
    );
    const { text } = describeFailure(error, { ...TEXT, format: 'json' }, T);
    expect(text).toMatch(/^.*\n$/);
    expect(JSON.parse(text)).toEqual({
      time: T,
      level: 'error',
      part: 'twill',
      msg: 'cannot read the config',
      hint: 'start etcd',
      exit_code: 4,
    });
  });

  it('a failure report is one line and a hint, with the exit code of its kind', () => {
    const error = new TwillError('datastore', 'cannot read\nthe config', { hint: 'start etcd' });
    expect(describeFailure(error, TEXT, T)).toEqual({
      text: 'twill: cannot read the config\nhint: start etcd\n',
      exitCode: 4,
    });
  });

  it('a failure report contains no terminal codes', () => {
    const { text } = describeFailure(new TwillError('config', 'is \u001b[2Jx\r'), TEXT, T);
    expect(text).toBe('twill: is  [2Jx\n');
  });

  it('a failure report has a stack only for a bug with the full log', () => {
    const error = new TypeError('x is not a function');
    expect(describeFailure(error, TEXT, T)).toEqual({
      text: 'twill: internal error: x is not a function\n',
      exitCode: 1,
    });
    expect(describeFailure(error, FULL, T).text).toContain('cli.test.ts');
  });

  it('a failure report is one line also for a thrown value that is no error', () => {
    expect(describeFailure('odd', FULL, T).text).toBe('twill: internal error: odd\n');
  });
});

describe('the permission to change the network', () => {
  it.each([
    ['CapEff:\t000001ffffffffff\n', true],
    ['CapEff:\t0000000000001000\n', true],
    ['CapEff:\t0000000000000000\n', false],
    ['CapEff:\t00000000a80425fb\n', false],
    ['', undefined],
  ])('the permission to change the network in %j is %s', (status, expected) => {
    expect(hasNetAdmin(status)).toBe(expected);
  });
});

describe('the nearest word', () => {
  it.each([
    ['ifcae', 'iface'],
    ['IFACE', 'iface'],
    ['subnetfile', 'subnet-file'],
    ['etcd-endpoint', 'etcd-endpoints'],
    ['x', undefined],
    ['frobnicate', undefined],
    ['a'.repeat(10_000), undefined],
  ])('the nearest word to %s is %s', (word, expected) => {
    expect(
      nearestWord(
        word,
        FLAGS.map((flag) => flag.name),
      ),
    ).toBe(expected);
  });
});
