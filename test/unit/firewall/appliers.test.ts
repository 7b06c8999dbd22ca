// How the appliers handle failures of the programs that they run. Their effect on the kernel is tested in test/kernel.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import type { Exec, ExecResult } from '../../../agent/base/exec.ts';
import { createIptablesFirewall } from '../../../agent/firewall/iptables.ts';
import { createNftablesFirewall } from '../../../agent/firewall/nftables.ts';
import { planFirewall } from '../../../agent/firewall/rules.ts';

const rules = planFirewall({
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  ipMasq: true,
  forwardRules: true,
  randomFully: true,
  dockerDirect: true,
  links: ['flannel.1'],
  bridges: [],
});

const ok = (stdout = ''): ExecResult => ({ exitCode: 0, stdout, stderr: '' });
const failure = (stderr: string): ExecResult => ({ exitCode: 4, stdout: '', stderr });

/** An `exec` that answers by program, and records its calls. */
function scripted(answer: (file: string, call: number) => ExecResult): {
  readonly exec: Exec;
  readonly calls: { readonly file: string; readonly input: string | undefined }[];
} {
  const calls: { readonly file: string; readonly input: string | undefined }[] = [];
  const exec: Exec = (file, _, options) => {
    calls.push({ file, input: options?.input });
    return Promise.resolve(answer(file, calls.length));
  };
  return { exec, calls };
}

const notInstalled: Exec = (file) =>
  Promise.reject(new TwillError('host', `cannot run ${file}: not found in PATH`, { errno: 'ENOENT' }));

describe('an applier', () => {
  it.each([
    ['iptables', createIptablesFirewall, 'install the package iptables'],
    ['nft', createNftablesFirewall, 'install the package nftables'],
  ])('an applier names the packages to install when %s is missing', async (program, create, hint) => {
    const ensured = create({ exec: notInstalled }).ensure({ ...rules, randomFully: false });
    await expect(ensured).rejects.toMatchObject({
      code: 'host',
      message: expect.stringMatching(new RegExp(`^cannot read the .* rules: ${program}.* is not installed$`)),
      hint,
    });
  });

  it.each([
    ['iptables v1.8.9 (nf_tables): Could not fetch rule set: Permission denied (you must be root)', /root/],
    ["# Warning: x\n\ncan't initialize iptables table `nat': Table does not exist", /EnableNFTables/],
    ['Another app is currently holding the xtables lock; still 4s', /xtables\.lock/],
    ['something new', undefined],
  ])('an applier reports the stderr %j in one line with a hint', async (stderr, hint) => {
    const { exec } = scripted(() => failure(stderr));
    const error = await createIptablesFirewall({ exec, version: 'iptables v1.8.9' })
      .ensure(rules)
      .then(String, (thrown: unknown) => thrown);
    if (!(error instanceof TwillError)) throw new Error(`no operating error: ${String(error)}`);
    expect(error.message).toBe(`cannot read the iptables rules: iptables: ${stderr.split('\n').at(-1)}`);
    if (hint === undefined) expect(error.hint).toBeUndefined();
    else expect(error.hint).toMatch(hint);
  });
});

describe('createIptablesFirewall', () => {
  it('the iptables applier reads and writes again if another program changed the table in between', async () => {
    const { exec, calls } = scripted((file, call) =>
      file === 'iptables-restore' && call < 7 ? failure('line 3 failed') : ok('iptables v1.8.9'),
    );
    expect(await createIptablesFirewall({ exec }).ensure(rules)).toBe('repaired');
    const reads = ['iptables', 'iptables', 'iptables', 'iptables'];
    expect(calls.map(({ file }) => file)).toEqual([
      'iptables',
      ...reads,
      'iptables-restore',
      ...reads,
      'iptables-restore',
    ]);
  });

  it('the iptables applier gives up after three attempts', async () => {
    const { exec, calls } = scripted((file) =>
      file === 'iptables-restore' ? failure('line 3 failed') : ok('iptables v1.8.9'),
    );
    await expect(createIptablesFirewall({ exec }).ensure(rules)).rejects.toThrow(
      'cannot write the iptables rules: iptables-restore: line 3 failed',
    );
    expect(calls.filter(({ file }) => file === 'iptables-restore')).toHaveLength(3);
  });

  it.each([
    { version: 'v1.6.1', randomFully: true, expected: false },
    { version: 'v1.6.2', randomFully: true, expected: true },
    { version: 'v1.6.2', randomFully: false, expected: false },
  ])(
    'the iptables applier passes --random-fully: $expected, if wanted: $randomFully, with iptables $version',
    async (row) => {
      const { exec, calls } = scripted(() => ok(`iptables ${row.version}`));
      await createIptablesFirewall({ exec }).ensure({ ...rules, randomFully: row.randomFully });
      const input = calls.find((call) => call.file === 'iptables-restore')?.input ?? '';
      expect(input).toMatch(/-j MASQUERADE/);
      expect(input.includes('--random-fully')).toBe(row.expected);
    },
  );
});

describe('createNftablesFirewall', () => {
  it('the nftables applier does not mistake an unreadable table for a missing one', async () => {
    const chains =
      '{"nftables":[{"metainfo":{}},{"chain":{"family":"ip","table":"flannel-ipv4","name":"forward"}}]}';
    const { exec } = scripted((_, call) => (call === 1 ? failure('Error: busy') : ok(chains)));
    await expect(createNftablesFirewall({ exec }).ensure(rules)).rejects.toThrow(
      'cannot read the nftables rules: nft: Error: busy',
    );
  });

  it('the nftables applier runs nothing where the kernel tells that it has no table of ours', async () => {
    const { exec, calls } = scripted(() => failure('Error: busy'));
    const firewall = (has: boolean) =>
      createNftablesFirewall({ exec, reader: { hasTable: async () => has } });
    expect(await firewall(false).remove()).toBe(false);
    expect(calls).toEqual([]);
    await expect(firewall(true).remove()).rejects.toThrow('cannot read the nftables rules: nft: Error: busy');
    expect(calls).toHaveLength(1);
  });
});
