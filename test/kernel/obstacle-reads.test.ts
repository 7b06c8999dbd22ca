// What a search for obstacles reads: only what decides, in few runs of programs, and nothing that is long.
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../agent/base/exec.ts';
import { LIMITS } from '../../agent/firewall/limits.ts';
import { findObstacles, type Obstacle } from '../../agent/firewall/obstacles/obstacles.ts';
import { rulesetReader } from '../../agent/kernel/netlink/ruleset.ts';
import type { Traffic } from '../../agent/model/firewall.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { type Netns, ownNetns } from './netns.ts';

const TRAFFIC: Traffic = {
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  peerLinks: ['flannel.1'],
  underlay: 'eth0',
  bridges: [],
};

const need = allOf(needsNetns('nft'), NEEDS_PRIVATE_NETNS);

const verdictOf = ({ isFault, message }: Obstacle): string =>
  isFault ? 'drops' : message.includes(' may drop ') ? 'may drop' : 'warns';

const verdictsIn = async (ns: Netns): Promise<readonly string[]> =>
  (await findObstacles({ exec: ns.run, reader: rulesetReader }, TRAFFIC)).obstacles.map(verdictOf);

/** A foreign table whose chain for forwarded packets has these rules. `head` is inserted before the chain. */
const table = (policy: string, rules: readonly string[], head = ''): string =>
  `table inet theirs {
     ${head}
     chain forwarded {
       type filter hook forward priority 10; policy ${policy};
       ${rules.join('\n')}
     }
   }`;

describe.skipIf(need.missing)(title('the reads of findObstacles', need), () => {
  it('findObstacles reads a limited number of chains, and is uncertain about the rest', async () => {
    await using ns = ownNetns();
    const count = LIMITS.foreignChains + 5;
    const chains = Array.from({ length: count }, (__, i) => `chain c${i} { counter; }`);
    const jumps = chains.map((__, i) => `jump c${i}`);
    await ns.exec('nft', table('drop', jumps, chains.join('\n')));
    expect(await verdictsIn(ns)).toEqual(['drops']);
    // A table with more rules is not read as a whole.
    const rest = Array.from({ length: LIMITS.foreignRules }, () => 'add rule inet theirs rest counter');
    await ns.exec('nft', ['add chain inet theirs rest', ...rest].join('\n'));
    expect(await verdictsIn(ns)).toEqual(['may drop']);
  });

  it('findObstacles says that it does not look at a long chain', async () => {
    await using ns = ownNetns();
    await ns.exec('nft', table('accept', []));
    const rest = Array.from(
      { length: LIMITS.foreignRules + 1 },
      () => 'add rule inet theirs forwarded counter',
    );
    await ns.exec('nft', rest.join('\n'));
    const { obstacles, unseen } = await findObstacles({ exec: ns.run, reader: rulesetReader }, TRAFFIC);
    expect(obstacles).toEqual([]);
    expect(unseen).toEqual([
      'cannot look for obstacles in chain forwarded of nftables table inet theirs: it has more than 1000 rules',
    ]);
  });

  it('findObstacles reads a table in one run, and chain by chain from when its sets are large', async () => {
    await using ns = ownNetns();
    const addressOf = (i: number): string => `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    const elements = Array.from({ length: 90_000 }, (__, i) => addressOf(i)).join(',');
    const file = join(tmpdir(), `twill-set-${process.pid}`);
    await writeFile(file, table('drop', ['jump sub'], 'set s { type ipv4_addr; }; chain sub { counter; }'));
    await ns.exec('nft', '-f', file);
    const calls: string[] = [];
    const exec: Exec = (name, args, options) => {
      calls.push([name, ...args].join(' '));
      return ns.run(name, args, options);
    };
    const bulky = new Set<string>();
    const find = async (): Promise<readonly string[]> => {
      calls.length = 0;
      const { obstacles } = await findObstacles({ exec, reader: rulesetReader, bulky }, TRAFFIC);
      expect(obstacles.map(verdictOf)).toEqual(['drops']);
      return calls;
    };
    const whole = 'nft -j list table inet theirs';
    const single = ['nft -j list chain inet theirs forwarded', 'nft -j list chain inet theirs sub'];
    expect(await find()).toEqual([whole]);
    await writeFile(file, `add element inet theirs s { ${elements} }`);
    await ns.exec('nft', '-f', file);
    await rm(file);
    expect(await find()).toEqual([whole, ...single]);
    expect(await find()).toEqual(single);
  });

  it('findObstacles reads chain by chain when a table cannot be listed', async () => {
    await using ns = ownNetns();
    await ns.exec('nft', table('drop', []));
    const exec: Exec = (name, args, options) =>
      args.includes('table')
        ? Promise.resolve({ exitCode: 1, stdout: '', stderr: 'no JSON for this object' })
        : ns.run(name, args, options);
    const { obstacles } = await findObstacles({ exec, reader: rulesetReader }, TRAFFIC);
    expect(obstacles.map(verdictOf)).toEqual(['drops']);
  });

  it('findObstacles reads no chain of another hook and none that is long, beside 20,000 foreign rules', async () => {
    await using ns = ownNetns();
    const rules = (chain: string, count: number): readonly string[] =>
      Array.from(
        { length: count },
        (__, i) => `add rule ip other ${chain} ip saddr 10.96.${i >> 8}.${i & 255} drop`,
      );
    const chains = Array.from({ length: 1_000 }, (__, i) => `add chain ip other c${i}`);
    const file = join(tmpdir(), `twill-rules-${process.pid}`);
    await writeFile(
      file,
      [
        'add table ip other',
        ...chains,
        'add chain ip other input { type filter hook input priority 0; }',
        'add chain ip other called',
        ...rules('input', 18_000),
        ...rules('called', LIMITS.foreignRules + 1),
        'add chain ip other f { type filter hook forward priority 0; policy drop; }',
        'add rule ip other f jump called',
      ].join('\n'),
    );
    await ns.exec('nft', '-f', file);
    await rm(file);
    let printed = 0;
    const calls: string[] = [];
    const exec: Exec = async (name, args, options) => {
      calls.push(args.join(' '));
      const result = await ns.run(name, args, options);
      printed += result.stdout.length;
      return result;
    };
    const { obstacles, read } = await findObstacles({ exec, reader: rulesetReader }, TRAFFIC);
    expect(obstacles.map(verdictOf)).toEqual(['may drop']);
    expect(calls).toEqual(['-j list chain ip other f']);
    expect(printed).toBeLessThan(2_000);
    expect(read).toEqual(new Set(['ip other f', 'ip other called']));
  });
});
