// The table of our own beside flannel's, as nft lists it.
import { describe, expect, it } from 'vitest';
import { createContainersTable } from '../../agent/firewall/nftables.ts';
import { needsNetns, title } from '../support/needs.ts';
import { RULES } from './firewall-suite.ts';
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

const need = needsNetns('nft');
describe.skipIf(need.missing)(title('the table for containers', need), () => {
  it('the table for containers is written, found present, repaired and removed', async () => {
    await using ns = await createNetns();
    const list = (): Promise<string> => ns.exec('nft', 'list', 'ruleset');
    const table = createContainersTable({ exec: ns.run });
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
});
