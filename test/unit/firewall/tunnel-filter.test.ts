import { describe, expect, it } from 'vitest';
import type { Exec } from '../../../agent/base/exec.ts';
import { LIMITS } from '../../../agent/firewall/limits.ts';
import { createTunnelFilter } from '../../../agent/firewall/tunnel-filter.ts';
import type { AddressSets } from '../../../agent/model/ruleset.ts';
import { prefix } from '../../support/build.ts';

const RULES = {
  tunnel: { port: 8472, device: { name: 'flannel.1', vni: 1 } },
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.3.0/24'),
  addresses: ['10.0.0.3'],
};

const sets: AddressSets = { change: async () => undefined };

describe('the tunnel filter without Linux', () => {
  it('says which package is missing', async () => {
    const exec: Exec = () => Promise.reject(Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' }));
    const filter = createTunnelFilter({ exec, reader: { hasTable: async () => true }, sets });
    const failure = {
      message: 'cannot filter the tunnel port: nft is not installed',
      hint: 'install the package nftables',
    };
    await expect(filter.replace(RULES, [])).rejects.toMatchObject(failure);
    await expect(filter.remove()).rejects.toMatchObject(failure);
  });

  it('needs no nft where there is nothing to remove', async () => {
    const exec: Exec = () => Promise.reject(new Error('nft was run'));
    expect(await createTunnelFilter({ exec, reader: { hasTable: async () => false }, sets }).remove()).toBe(
      false,
    );
  });

  it('hands the text to nft in arguments that Linux takes, cut between words', async () => {
    const runs: (readonly string[])[] = [];
    const exec: Exec = async (_, args) => {
      runs.push(args);
      return { exitCode: 0, stdout: '', stderr: '' };
    };
    const nodes = Array.from({ length: 20_000 }, (_, i) => `172.16.${i >> 8}.${i & 255}`);
    await createTunnelFilter({ exec, reader: { hasTable: async () => true }, sets }).replace(RULES, nodes);
    const [args = []] = runs;
    expect(args.length).toBeGreaterThan(2);
    expect(args.every(({ length }) => length <= LIMITS.argumentBytes)).toBe(true);
    expect(args.join(' ')).toContain(`elements = { ${nodes.join(', ')} };`);
  });
});
