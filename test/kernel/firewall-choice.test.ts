// The choice of the firewall, and the removal of the rules of the other one.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../agent/base/errors.ts';
import type { Exec } from '../../agent/base/exec.ts';
import { openFirewall } from '../../agent/firewall/open-firewall.ts';
import { rulesetReader as reader } from '../../agent/kernel/netlink/ruleset.ts';
import { readTableSizes as readSizes } from '../../agent/kernel/old-iptables.ts';
import { captureLog } from '../support/capture-log.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { RULES } from './firewall-suite.ts';
import { createNetns, type Netns, ownNetns } from './netns.ts';

const need = needsNetns('iptables', 'iptables-save', 'iptables-restore', 'nft');

/** An `exec` of a machine on which some programs are not installed. */
const without =
  (run: Exec, ...programs: readonly string[]): Exec =>
  (file, args, options) =>
    programs.some((program) => file.startsWith(program))
      ? Promise.reject(new TwillError('host', `cannot run ${file}: not found in PATH`, { errno: 'ENOENT' }))
      : run(file, args, options);

/** The reader reads this process's own namespace, and `ns` is another one. */
const readerIn = (ns: Netns): typeof reader => ({
  ...reader,
  hasTable: async ({ family, name }) =>
    (await ns.exec('nft', 'list', 'tables')).includes(`table ${family} ${name}\n`),
  // This process cannot read that of another namespace: each read tells of a change.
  generation: async () => Math.floor(performance.now() * 1_000) % 2 ** 32,
  hasChain: async (table, name) => (await ns.run('nft', ['list', 'chain', 'ip', table, name])).exitCode === 0,
});

const modesInUse = async (ns: Netns): Promise<readonly string[]> => {
  const iptables = await ns.exec('iptables-save');
  const tables = await ns.exec('nft', 'list', 'tables');
  return [
    ...(iptables.includes('FLANNEL-') ? ['iptables'] : []),
    ...(tables.includes('table ip flannel-ipv4\n') ? ['nftables'] : []),
  ];
};

describe.skipIf(need.missing)(title('openFirewall', need), () => {
  it('openFirewall follows the configuration, and removes the rules of the other mode after writing its own', async () => {
    await using ns = await createNetns();
    const { log, lines } = captureLog('firewall');
    for (const enableNFTables of [false, true, false]) {
      const { active, inactive } = await openFirewall({
        enableNFTables,
        log,
        exec: ns.run,
        reader: readerIn(ns),
        readSizes,
      });
      const [mode, other] = enableNFTables ? ['nftables', 'iptables'] : ['iptables', 'nftables'];
      expect([active.mode, inactive?.mode]).toEqual([mode, other]);
      expect(await active.ensure(RULES)).toBe('repaired');
      expect(await modesInUse(ns)).toEqual([mode]);
      expect(await active.ensure(RULES)).toBe('present');
    }
    expect(lines).toEqual([
      'info  firewall: removed the rules of iptables, which is not in use',
      'info  firewall: removed the rules of nftables, which is not in use',
    ]);
  });

  it.each([
    {
      gone: 'iptables',
      enableNFTables: false,
      mode: 'nftables',
      line: 'warn  firewall: iptables is not installed; using nftables',
    },
    {
      gone: 'nft',
      enableNFTables: true,
      mode: 'iptables',
      line: 'warn  firewall: EnableNFTables is true but nft is not installed; using iptables',
    },
  ])(
    'openFirewall falls back to $mode if $gone is missing, and logs it',
    async ({ gone, enableNFTables, mode, line }) => {
      await using ns = await createNetns();
      const { log, lines } = captureLog('firewall');
      const exec = without(ns.run, gone);
      const options = { enableNFTables, log, exec, reader: readerIn(ns), readSizes };
      const { active, inactive } = await openFirewall(options);
      expect(active.mode).toBe(mode);
      expect(inactive).toBeUndefined();
      expect(await active.ensure(RULES)).toBe('repaired');
      expect(await modesInUse(ns)).toEqual([mode]);
      expect(lines).toEqual([line]);
    },
  );

  it('openFirewall keeps the rules in use when those of the other mode cannot be removed', async () => {
    await using ns = await createNetns();
    const { log, lines } = captureLog('firewall');
    const exec: Exec = (file, args, options) =>
      args.includes('flannel-ipv4')
        ? Promise.reject(new TwillError('host', 'nft is broken'))
        : ns.run(file, args, options);
    const known = readerIn(ns);
    const withTable: typeof reader = {
      ...known,
      hasTable: async (table) => table.name === 'flannel-ipv4' || known.hasTable(table),
    };
    const { active } = await openFirewall({ enableNFTables: false, log, exec, reader: withTable, readSizes });
    expect(await active.ensure(RULES)).toBe('repaired');
    expect(await active.ensure(RULES)).toBe('present');
    expect(lines).toEqual(['warn  firewall: cannot remove old rules of nftables error="nft is broken"']);
  });
});

const apart = allOf(need, NEEDS_PRIVATE_NETNS);
describe.skipIf(apart.missing)(title('openFirewall beside chains that drop', apart), () => {
  it('openFirewall returns the chains that drop and logs once those that may, also during failed searches', async () => {
    await using ns = ownNetns();
    const { log, lines } = captureLog('firewall');
    let isBroken = false;
    const exec: Exec = (file, args, options) =>
      isBroken ? Promise.reject(new TwillError('host', 'nft is broken')) : ns.run(file, args, options);
    const { active } = await openFirewall({ enableNFTables: false, log, exec, reader, readSizes });
    const chain = (name: string): string =>
      `chain ${name} { type filter hook forward priority 1; policy drop;`;
    await ns.exec('nft', `table ip a {\n${chain('every')} }\n${chain('some')} meta mark 7 accept\n}\n}`);
    const network = { family: 'ipv4', address: '10.5.0.0', length: 16 } as const;
    const subnet = { ...network, length: 24 };
    const traffic = { network, subnet, peerLinks: ['flannel.1'], underlay: 'eth0', bridges: [] };
    const certain = [expect.stringMatching(/^chain every of nftables table ip a drops /)];
    for (const broken of [false, false, true, true, false]) {
      isBroken = broken;
      expect(await active.obstacles(traffic)).toEqual(certain);
    }
    expect(lines).toEqual([
      expect.stringMatching(/^warn {2}firewall: chain some of nftables table ip a may drop /),
      'info  firewall: cannot search for chains that drop packets of the network error="nft is broken"',
    ]);
    await ns.exec('nft', 'delete', 'table', 'ip', 'a');
    expect(await active.obstacles(traffic)).toEqual([]);
  });
});

describe('openFirewall without programs', () => {
  it('openFirewall says why a program that is installed does not run', async () => {
    const broken: Exec = async (file) => ({
      exitCode: 127,
      stdout: '',
      stderr: `${file}: error while loading shared libraries: libxtables.so.12\n`,
    });
    const { log } = captureLog('firewall');
    const opened = openFirewall({ enableNFTables: false, log, exec: broken, reader, readSizes });
    await expect(opened).rejects.toMatchObject({
      code: 'host',
      message:
        'cannot set firewall rules: neither iptables nor nft runs: iptables: error while loading shared libraries: libxtables.so.12; nft: error while loading shared libraries: libxtables.so.12',
    });
  });

  it('openFirewall names the packages when neither iptables nor nft is installed', async () => {
    const none: Exec = without(() => Promise.reject(new Error('unexpected')), '');
    const { log } = captureLog('firewall');
    const opened = openFirewall({ enableNFTables: false, log, exec: none, reader, readSizes });
    await expect(opened).rejects.toMatchObject({
      code: 'host',
      message: 'cannot set firewall rules: neither iptables nor nft is installed',
      hint: expect.stringMatching(/iptables or nftables/),
    });
  });
});
