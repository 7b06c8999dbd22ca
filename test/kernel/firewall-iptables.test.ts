// The iptables applier with both backends of the program: nf_tables and legacy.
import { describe, expect, it } from 'vitest';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { needsNetns, title } from '../support/needs.ts';
import { describeFirewall, RULES } from './firewall-suite.ts';
import { createNetns } from './netns.ts';

const COMMENT = ['-m', 'comment', '--comment', 'flanneld forward'] as const;

for (const program of ['iptables-nft', 'iptables-legacy']) {
  describeFirewall({
    title: `firewall by ${program}`,
    programs: [program, `${program}-save`, `${program}-restore`, 'nft'],
    create: (exec) => createIptablesFirewall({ exec, program }),
    prepare: async (ns) => {
      const rules = [
        ['filter', '-P', 'FORWARD', 'DROP'],
        ['filter', '-N', 'DOCKER-USER'],
        ['filter', '-A', 'DOCKER-USER', '-j', 'RETURN'],
        ['filter', '-A', 'FORWARD', '-j', 'DOCKER-USER'],
        ['filter', '-A', 'FORWARD', '-i', 'docker0', '-j', 'DROP'],
        ['nat', '-A', 'POSTROUTING', '-s', '172.17.0.0/16', '!', '-o', 'docker0', '-j', 'MASQUERADE'],
        ['nat', '-A', 'PREROUTING', '-m', 'comment', '--comment', 'to -j FLANNEL-FWD', '-j', 'ACCEPT'],
        ['mangle', '-A', 'FORWARD', '-j', 'MARK', '--set-mark', '7'],
      ] as const;
      for (const [table, ...args] of rules) await ns.exec(program, '-t', table, ...args);
    },
    list: async (ns) => {
      const tables = await Promise.all(
        ['nat', 'filter', 'mangle'].map((table) => ns.exec(`${program}-save`, '-t', table)),
      );
      return tables
        .join('')
        .replaceAll(/^#.*\n/gm, '')
        .replaceAll(/\[\d+:\d+\]/g, '[0:0]');
    },
    golden: `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m comment --comment "to -j FLANNEL-FWD" -j ACCEPT
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FORWARD -j DOCKER-USER
-A FORWARD -i docker0 -j DROP
-A DOCKER-USER -j RETURN
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -j MARK --set-xmark 0x7/0xffffffff
COMMIT
`,
    faults: {
      'a deleted jump': [[program, '-D', 'FORWARD', '1']],
      'an empty chain': [[program, '-F', 'FLANNEL-FWD']],
      'a rule of ours, twice': [
        [program, '-A', 'FLANNEL-FWD', '-s', '10.5.0.0/16', ...COMMENT, '-j', 'ACCEPT'],
      ],
      'our rules in another order': [
        [program, '-D', 'FLANNEL-FWD', '1'],
        [program, '-A', 'FLANNEL-FWD', '-s', '10.5.0.0/16', ...COMMENT, '-j', 'ACCEPT'],
      ],
      'a deleted rule': [[program, '-t', 'nat', '-D', 'FLANNEL-POSTRTG', '3']],
      'two flushed chains': [
        [program, '-t', 'nat', '-F', 'FLANNEL-POSTRTG'],
        [program, '-F', 'FLANNEL-FWD'],
      ],
      'an appended rule': [[program, '-A', 'FLANNEL-FWD', '-j', 'DROP']],
      'a changed rule': [[program, '-R', 'FLANNEL-FWD', '1', '-s', '10.6.0.0/16', '-j', 'ACCEPT']],
      'a deleted jump and chain': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-F', 'FLANNEL-FWD'],
        [program, '-X', 'FLANNEL-FWD'],
      ],
      'a jump behind a rule that drops, where flannel puts it': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-A', 'FORWARD', '-m', 'comment', '--comment', 'flanneld forward', '-j', 'FLANNEL-FWD'],
      ],
      'a second jump': [[program, '-t', 'nat', '-A', 'POSTROUTING', '-j', 'FLANNEL-POSTRTG']],
      'deleted jumps in both tables': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-t', 'nat', '-D', 'POSTROUTING', '1'],
      ],
    },
  });

  const need = needsNetns(program, `${program}-save`, `${program}-restore`);
  describe.skipIf(need.missing)(title(`rules put before ours by ${program}`, need), () => {
    const JUMPS = {
      FORWARD: '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
      POSTROUTING: '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
    };
    it.each([
      {
        chain: 'FORWARD',
        table: 'filter',
        intruders: ['-j REJECT --reject-with icmp-port-unreachable'],
      },
      {
        chain: 'FORWARD',
        table: 'filter',
        intruders: ['-s 10.5.0.0/16 -j DROP', '-d 10.5.0.0/16 -j DROP'],
      },
      { chain: 'POSTROUTING', table: 'nat', intruders: ['-j MASQUERADE'] },
    ] as const)(
      'rules before ours are moved behind them and kept: $chain $intruders',
      async ({ chain, table, intruders }) => {
        await using ns = await createNetns();
        const firewall = createIptablesFirewall({ exec: ns.run, program });
        await firewall.ensure(RULES);
        const rules = async (): Promise<readonly string[]> => {
          const saved = await ns.exec(`${program}-save`, '-t', table);
          return saved.split('\n').filter((line) => line.startsWith(`-A ${chain} `));
        };
        const theirs = intruders.map((rule) => `-A ${chain} ${rule}`);
        for (const rule of intruders.toReversed()) {
          await ns.exec(program, '-t', table, '-I', chain, ...rule.split(' '));
        }
        expect(await rules()).toEqual([...theirs, JUMPS[chain]]);
        expect(await firewall.ensure(RULES)).toBe('repaired');
        expect(await rules()).toEqual([JUMPS[chain], ...theirs]);
        expect(await firewall.ensure(RULES)).toBe('present');
      },
    );
  });

  describe.skipIf(need.missing)(title(`a large rule set of ${program}`, need), () => {
    const FAULTS = [
      ['-t', 'nat', '-I', 'POSTROUTING', '-j', 'MASQUERADE'],
      ['-t', 'nat', '-D', 'FLANNEL-POSTRTG', '3'],
      ['-t', 'nat', '-D', 'POSTROUTING', '1'],
      ['-t', 'nat', '-F', 'FLANNEL-POSTRTG'],
      ['-I', 'FORWARD', '-j', 'DROP'],
      ['-F', 'FLANNEL-FWD'],
    ] as const;
    it.each([
      { chain: 'PREROUTING', others: 'other chains', also: [['-A', 'FORWARD', '-j', 'FLANNEL-FWD']] },
      { chain: 'POSTROUTING', others: 'the parent of our chain', also: [] },
    ])('$others with 12,000 rules are not printed, and each fault is noticed', async ({ chain, also }) => {
      await using ns = await createNetns();
      const lines = Array.from(
        { length: 12_000 },
        (_, i) =>
          `-A ${chain} -d 10.96.${i >> 8}.${i & 255} -m comment --comment "ns/service-${i}:http" -j ACCEPT`,
      );
      await ns.run(`${program}-restore`, ['--noflush'], { input: `*nat\n${lines.join('\n')}\nCOMMIT\n` });
      let calls: string[] = [];
      let printed = 0;
      const firewall = createIptablesFirewall({
        program,
        async exec(file, args, options) {
          calls.push(file);
          const result = await ns.run(file, args, options);
          printed += result.stdout.length;
          return result;
        },
      });
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await firewall.ensure(RULES)).toBe('present');
      for (const fault of [...FAULTS, ...also]) {
        await ns.exec(program, ...fault);
        expect(await firewall.ensure(RULES), fault.join(' ')).toBe('repaired');
        expect(await firewall.ensure(RULES), fault.join(' ')).toBe('present');
      }
      expect(new Set(calls)).toEqual(new Set([program, `${program}-restore`]));
      expect(printed).toBeLessThan(64 * 1024);
      calls = [];
      expect(await firewall.ensure(RULES)).toBe('present');
      expect(calls).toHaveLength(4);
      expect(await firewall.remove()).toBe(true);
      expect(await ns.exec(program, '-t', 'nat', '-S', 'POSTROUTING', '1')).not.toContain('FLANNEL');
      expect(await firewall.remove()).toBe(false);
    });

    it('a chain that others call is removed with their calls', async () => {
      await using ns = await createNetns();
      const firewall = createIptablesFirewall({ exec: ns.run, program });
      await firewall.ensure(RULES);
      await ns.exec(program, '-N', 'MINE');
      await ns.exec(program, '-A', 'MINE', '-g', 'FLANNEL-FWD');
      expect(await firewall.remove()).toBe(true);
      expect(await ns.exec(`${program}-save`)).not.toContain('FLANNEL');
    });
  });
}
