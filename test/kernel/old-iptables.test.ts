// The sizes of the tables of the old iptables: each change of a chain that ours are called from shows in them.
import { describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { readTableSizes } from '../../agent/kernel/old-iptables.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { RULES } from './firewall-suite.ts';
import { ownNetns } from './netns.ts';

const need = allOf(needsNetns('iptables-legacy'), NEEDS_PRIVATE_NETNS);
const program = 'iptables-legacy';

describe.skipIf(need.missing)(title('the sizes of the tables of the old iptables', need), () => {
  it('sizes tell of changes, those of our parents apart from the rest', async () => {
    const ns = ownNetns();
    const run = (...args: readonly string[]): Promise<string> => ns.exec(program, '-w', '5', ...args);
    const writer = createIptablesFirewall({ exec, program });
    await writer.ensure(RULES);
    try {
      const first = await readTableSizes();
      expect([...(first?.keys() ?? [])]).toEqual(expect.arrayContaining(['nat', 'filter']));
      expect(await readTableSizes()).toEqual(first);
      await run('-A', 'INPUT', '-s', '192.0.2.1', '-j', 'DROP');
      const second = await readTableSizes();
      expect(second?.get('nat')).toEqual(first?.get('nat'));
      expect(second?.get('filter')?.parent).toBe(first?.get('filter')?.parent);
      expect(second?.get('filter')?.table).not.toBe(first?.get('filter')?.table);
      await run('-D', 'INPUT', '1');
      for (const [table, chain] of [
        ['filter', 'FORWARD'],
        ['nat', 'POSTROUTING'],
      ] as const) {
        await run('-t', table, '-D', chain, '1');
        expect((await readTableSizes())?.get(table)?.parent).not.toBe(first?.get(table)?.parent);
        await writer.ensure(RULES);
        expect(await readTableSizes()).toEqual(first);
      }
      await run('-D', 'FLANNEL-FWD', '1');
      expect((await readTableSizes())?.get('filter')?.table).not.toBe(first?.get('filter')?.table);
    } finally {
      await writer.remove();
    }
  });

  it('a large table is not read while its sizes stay, and each change that counts is noticed', async () => {
    const ns = ownNetns();
    const lines = Array.from(
      { length: 30_000 },
      (_, i) => `-A THEIRS -s 10.96.${i >> 8}.${i & 255} -m comment --comment "service ${i}" -j ACCEPT`,
    );
    const input = `*nat\n:THEIRS - [0:0]\n${lines.join('\n')}\nCOMMIT\n`;
    await ns.run(`${program}-restore`, ['--noflush', '-w', '5'], { input });
    let calls = 0;
    const tables = new Set<string | undefined>();
    const firewall = createIptablesFirewall({
      program,
      readSizes: readTableSizes,
      exec(file, args, options) {
        calls++;
        tables.add(args[args.indexOf('-t') + 1]);
        return exec(file, args, options);
      },
    });
    try {
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await firewall.ensure(RULES)).toBe('present');
      calls = 0;
      expect(await firewall.ensure(RULES)).toBe('present');
      expect(calls).toBe(0);
      // A change in the small table does not make the large one be read.
      tables.clear();
      await ns.exec(program, '-I', 'FORWARD', '1', '-s', '192.0.2.1', '-j', 'DROP');
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await firewall.ensure(RULES)).toBe('present');
      expect(tables).not.toContain('nat');
      await ns.exec(program, '-D', 'FORWARD', '1');
      expect(await firewall.ensure(RULES)).toBe('repaired');
      await ns.exec(program, '-t', 'nat', '-F', 'POSTROUTING');
      expect(await firewall.ensure(RULES)).toBe('repaired');
    } finally {
      await firewall.remove();
      await ns.exec(program, '-t', 'nat', '-F');
      await ns.exec(program, '-t', 'nat', '-X');
    }
  });
});
