// The sets of nftables on Linux.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressSets } from '../../agent/kernel/netlink/address-sets.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { ownNetns } from './netns.ts';

const need = allOf(needsNetns('nft'), NEEDS_PRIVATE_NETNS);
const NODES = { table: 'twill-test', name: 'nodes' };

describe.skipIf(need.missing)(title('a set of addresses', need), () => {
  const host = ownNetns();
  beforeEach(async () => {
    const elements = 'elements = { 10.0.0.1, 10.0.0.2 }';
    await host.exec('nft', `table ip twill-test { set nodes { type ipv4_addr; ${elements}; }\n }`);
  });
  afterEach(async () => {
    await host.exec('nft', 'delete table ip twill-test');
  });

  const held = async (): Promise<readonly string[]> => {
    const { nftables } = JSON.parse(await host.exec('nft', '-j', 'list', 'set', 'ip', 'twill-test', 'nodes'));
    return nftables.find((entry: object) => 'set' in entry).set.elem ?? [];
  };

  it.each<{ readonly added?: string[]; readonly removed?: string[]; readonly left: string[] }>([
    { added: ['10.0.0.3'], left: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] },
    { removed: ['10.0.0.1'], left: ['10.0.0.2'] },
    { added: ['192.168.200.255'], removed: ['10.0.0.1', '10.0.0.2'], left: ['192.168.200.255'] },
    { added: ['10.0.0.1'], left: ['10.0.0.1', '10.0.0.2'] },
    { added: ['10.0.0.1'], removed: ['10.0.0.1'], left: ['10.0.0.1', '10.0.0.2'] },
  ])('takes $added and gives up $removed', async ({ added = [], removed = [], left }) => {
    await addressSets.change(NODES, added, removed);
    expect(await held()).toEqual(left);
  });

  it('takes and gives up thousands of addresses at a time', async () => {
    const many = Array.from({ length: 9_000 }, (_, i) => `172.16.${i >> 8}.${i & 255}`);
    await addressSets.change(NODES, many, []);
    expect(await held()).toHaveLength(9_002);
    await addressSets.change(NODES, ['10.0.0.3'], many);
    expect(await held()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  it('stays as it is where an address to remove is not in it', async () => {
    await expect(addressSets.change(NODES, ['10.0.0.3'], ['10.0.0.9', '10.0.0.1'])).rejects.toMatchObject({
      code: 'host',
      message:
        'cannot change the set nodes of the nftables table ip twill-test: no such file or directory (ENOENT)',
    });
    expect(await held()).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('is not made where there is none', async () => {
    await expect(addressSets.change({ ...NODES, name: 'other' }, ['10.0.0.3'], [])).rejects.toThrow(/ENOENT/);
    expect(await host.exec('nft', 'list', 'sets', 'ip')).not.toContain('other');
  });
});
