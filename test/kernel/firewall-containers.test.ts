// The table of our own beside flannel's, as nft lists it.
import { describe, expect, it } from 'vitest';
import { createContainersTable } from '../../agent/firewall/nftables.ts';
import { captureLog } from '../support/capture-log.ts';
import { needsNetns, title } from '../support/needs.ts';
import { optionsOf, RULES } from './firewall-suite.ts';
import { createNetns } from './netns.ts';

const GOLDEN = `table ip twill-containers {
	chain twill-source {
		type nat hook postrouting priority srcnat - 1; policy accept;
		meta mark & 0x00004000 == 0x00004000 return comment "twill source"
		meta mark & 0x00002000 == 0x00002000 return comment "twill source"
		ip saddr 10.5.34.0/24 ip daddr 10.5.34.0/24 return comment "twill source"
		ip saddr 10.5.34.0/24 ip daddr 10.5.0.0/16 snat to ip saddr comment "twill source"
	}
}
`;

const MARKED = `${GOLDEN.slice(0, -2)}
	chain twill-mark {
		type filter hook prerouting priority raw - 1; policy accept;
		iifname "flannel.1" ip saddr 10.5.0.0/16 ip daddr 10.5.34.0/24 meta mark set meta mark | 0x01000000 comment "twill direct"
	}
}
`;

const need = needsNetns('nft');
describe.skipIf(need.missing)(title('the table for containers', need), () => {
  it('the table for containers is written, found present, repaired and removed', async () => {
    await using ns = await createNetns();
    const list = (): Promise<string> => ns.exec('nft', 'list', 'ruleset');
    const table = createContainersTable(optionsOf(ns.run));
    expect(await table.remove()).toBe(false);
    expect(await table.ensure(RULES)).toBe('repaired');
    expect(await list()).toBe(GOLDEN);
    expect(await table.ensure(RULES)).toBe('present');
    for (const fault of ['flush chain ip twill-containers twill-source', 'flush ruleset']) {
      await ns.exec('nft', fault);
      expect(await table.ensure(RULES)).toBe('repaired');
      expect(await list()).toBe(GOLDEN);
    }
    expect(await table.remove()).toBe(true);
    expect(await list()).toBe('');
  });

  it("packets of peers get a mark where dockerd uses nftables, unless Docker's drops shall stay", async () => {
    await using ns = await createNetns();
    const { log, lines } = captureLog('firewall');
    const own = (): Promise<string> => ns.exec('nft', 'list', 'table', 'ip', 'twill-containers');
    const table = createContainersTable({ ...optionsOf(ns.run), log });
    await ns.exec('nft', 'add table ip docker-bridges');
    const off = { ...RULES, direct: [] };
    expect(await table.ensure(off)).toBe('repaired');
    expect([await own(), lines]).toEqual([GOLDEN, []]);
    expect(await table.ensure(RULES)).toBe('repaired');
    expect(await own()).toBe(MARKED);
    expect(await table.ensure(RULES)).toBe('present');
    // dockerd makes its table again when it restarts.
    await ns.exec('nft', 'delete table ip docker-bridges');
    expect(await table.ensure(RULES)).toBe('present');
    expect(lines).toEqual([
      'info  firewall: dockerd uses nftables, and lets packets of peers to containers pass when it has --allow-direct-routing --bridge-accept-fwmark=0x1000000/0x1000000',
    ]);
  });
});
