// The events of the rule set: each change that may undo our rules concerns the firewall, and no other one does.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type Exec, exec } from '../../agent/base/exec.ts';
import { createDockerDirect, DIRECT_CHAINS } from '../../agent/firewall/docker-direct.ts';
import { createIptablesFirewall, IPTABLES_CHAINS } from '../../agent/firewall/iptables.ts';
import { createContainersTable, createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { NFT_CHAINS } from '../../agent/firewall/nftables-table.ts';
import { rulesetReader } from '../../agent/kernel/netlink/ruleset.ts';
import { watchRuleset } from '../../agent/kernel/netlink/ruleset-monitor.ts';
import type { FirewallPart } from '../../agent/model/firewall.ts';
import type { RulesetChange } from '../../agent/model/ruleset.ts';
import { captureLog } from '../support/capture-log.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { RULES } from './firewall-suite.ts';
import { ownNetns } from './netns.ts';

const need = allOf(needsNetns('iptables-nft', 'nft'), NEEDS_PRIVATE_NETNS);
const program = 'iptables-nft';
/** Each attempt runs commands. */
const SLOW = { timeout: 10_000 };

/** Runs lines `PROGRAM ARGUMENTS…` in this namespace. */
const run = (...lines: readonly string[]): void => {
  for (const line of lines) {
    const [file = '', ...args] = line.split(' ');
    execFileSync(file, args);
  }
};

/** Gives the changes that concern the firewall, of those that the commands make. */
async function concerning(
  firewall: FirewallPart,
  ...lines: readonly string[]
): Promise<readonly RulesetChange[]> {
  const changes = await changesBy(lines);
  return changes.filter((change) => firewall.isConcerned(change));
}

/** Gives the changes that the commands make, of those that the kernel lets through. */
async function changesBy(lines: readonly string[]): Promise<readonly RulesetChange[]> {
  const ended = new AbortController();
  const changes: RulesetChange[] = [];
  let watches = false;
  const chains = {
    names: new Set([...IPTABLES_CHAINS, ...DIRECT_CHAINS, ...NFT_CHAINS]),
    changed: () => undefined,
  };
  const watching = watchRuleset(
    chains,
    (change) => {
      watches = true;
      if (change !== undefined) changes.push(change);
    },
    ended.signal,
  );
  expect(watches).toBe(true);
  // The filter is attached once the socket's descriptor is found.
  run('nft add table ip probe', 'nft add chain ip probe c');
  await expect
    .poll(async () => {
      changes.length = 0;
      run('nft add rule ip probe c accept', 'nft add chain ip probe d');
      await expect.poll(() => changes.some(({ kind }) => kind === 'chain')).toBe(true);
      return changes.some(({ kind }) => kind === 'rule');
    }, SLOW)
    .toBe(false);
  run('nft delete table ip probe');
  await expect.poll(() => changes.some(({ kind, isGone }) => kind === 'table' && isGone)).toBe(true);
  changes.length = 0;
  // The last change shows that all before it have arrived.
  run(...lines, 'nft add table ip end-of-test', 'nft delete table ip end-of-test');
  await expect.poll(() => changes.filter(({ table }) => table === 'ip end-of-test')).toHaveLength(2);
  ended.abort();
  await watching;
  return changes.filter(({ table }) => table !== 'ip end-of-test');
}

const THEIRS = [
  'iptables-nft -N THEIRS',
  'iptables-nft -t nat -N THEIRS',
  'iptables-nft -A THEIRS -s 192.0.2.1 -j DROP',
  'iptables-nft -A FORWARD -j THEIRS',
  'iptables-nft -t nat -A POSTROUTING -j THEIRS',
  'iptables-nft -A FORWARD -s 192.0.2.1 -j DROP',
  'iptables-nft -A INPUT -s 192.0.2.1 -j DROP',
];

const CHURN = [
  'iptables-nft -I THEIRS -s 192.0.2.2 -j DROP',
  'iptables-nft -F THEIRS',
  'iptables-nft -A FORWARD -s 192.0.2.2 -j DROP',
  'iptables-nft -I FORWARD 3 -s 192.0.2.3 -j DROP',
  'iptables-nft -D FORWARD -s 192.0.2.1 -j DROP',
  'iptables-nft -D FORWARD -s 192.0.2.3 -j DROP',
  'iptables-nft -t nat -I PREROUTING -s 192.0.2.2 -j ACCEPT',
  'iptables-nft -t nat -D POSTROUTING -j THEIRS',
  'iptables-nft -P FORWARD DROP',
  'iptables-nft -N FLANNEL',
  'nft add table inet t',
  'nft add chain inet t FLANNEL-FWD',
  'nft delete table inet t',
];

describe.skipIf(need.missing)(title('the events of the rule set', need), () => {
  it('changes of others do not concern the firewall of iptables', async () => {
    await using _ns = ownNetns();
    const firewall = createIptablesFirewall({ exec, program });
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(firewall.isAnnounced()).toBe(true);
    expect(await concerning(firewall, ...THEIRS, ...CHURN)).toEqual([]);
    expect(await firewall.ensure(RULES)).toBe('present');
  });

  it.each([
    'iptables-nft -D FORWARD 1',
    'iptables-nft -F FORWARD',
    'iptables-nft -I FORWARD -s 192.0.2.2 -j DROP',
    'iptables-nft -t nat -I POSTROUTING -j MASQUERADE',
    'iptables-nft -F FLANNEL-FWD',
    'iptables-nft -t nat -D FLANNEL-POSTRTG 3',
    'iptables-nft -A FLANNEL-FWD -j DROP',
    'iptables-nft -A FORWARD -j FLANNEL-FWD',
    'nft delete table ip nat',
    'nft flush ruleset',
  ])('a change that undoes rules of iptables concerns the firewall: %s', async (command) => {
    await using _ns = ownNetns();
    run(...THEIRS);
    const firewall = createIptablesFirewall({ exec, program });
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await firewall.ensure(RULES)).toBe('present');
    expect(await concerning(firewall, command)).not.toEqual([]);
    expect(await firewall.ensure(RULES)).toBe('repaired');
  });

  it('rules of others do not wake the process, and tables, chains and rules beside ours do', async () => {
    await using _ns = ownNetns();
    await createIptablesFirewall({ exec, program }).ensure(RULES);
    run(
      ...THEIRS,
      'nft add table ip other',
      'nft add chain ip other churn',
      'nft add set ip other s { type ipv4_addr; }',
    );
    const rules = Array.from({ length: 5 }, (_, i) => `iptables-nft -A THEIRS -s 192.0.3.${i} -j DROP`);
    const theirs = await changesBy([
      ...rules,
      'iptables-nft -F THEIRS',
      'nft add rule ip other churn ip saddr 192.0.2.1 drop',
      'nft add element ip other s { 192.0.2.1 }',
      'nft flush chain ip other churn',
    ]);
    expect(theirs).toEqual([]);
    const near = await changesBy([
      'iptables-nft -A FORWARD -s 192.0.2.9 -j DROP',
      'iptables-nft -N MORE',
      'nft add table inet more',
    ]);
    expect(near.map(({ kind, chain }) => `${kind} ${chain}`)).toEqual([
      'rule FORWARD',
      'chain MORE',
      'table undefined',
    ]);
  });

  it('our rule is heard of in a transaction that changes many of others', async () => {
    await using _ns = ownNetns();
    const firewall = createIptablesFirewall({ exec, program });
    await firewall.ensure(RULES);
    run('iptables-nft -N THEIRS');
    for (const count of [1, 3, 4, 5, 6, 40]) {
      const theirs = Array.from(
        { length: count },
        (_, i) => `add rule ip filter THEIRS ip saddr 192.0.3.${i} drop`,
      );
      const script = [...theirs, 'flush chain ip filter FLANNEL-FWD'].join(';');
      expect(await concerning(firewall, `nft ${script}`)).not.toEqual([]);
      expect(await firewall.ensure(RULES)).toBe('repaired');
    }
  });

  it('changes of our table alone concern the firewall of nftables', async () => {
    await using _ns = ownNetns();
    const firewall = createNftablesFirewall({ exec, reader: rulesetReader });
    expect(await firewall.remove()).toBe(false);
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await firewall.ensure(RULES)).toBe('present');
    expect(await concerning(firewall, ...THEIRS, ...CHURN)).toEqual([]);
    expect(await concerning(firewall, 'nft flush chain ip flannel-ipv4 forward')).not.toEqual([]);
    expect(await concerning(firewall, 'nft delete table ip flannel-ipv4')).not.toEqual([]);
  });

  it('a flushed chain of ours for containers concerns its table, and flannel does not', async () => {
    await using _ns = ownNetns();
    const { log } = captureLog('firewall');
    const table = createContainersTable({ exec, reader: rulesetReader, log });
    expect(await table.ensure(RULES)).toBe('repaired');
    const firewall = createNftablesFirewall({ exec, reader: rulesetReader });
    await firewall.ensure(RULES);
    const flush = 'nft flush chain ip twill-containers twill-source';
    expect(await concerning(table, flush)).not.toEqual([]);
    expect(await concerning(firewall, flush)).toEqual([]);
    expect(await concerning(table, 'nft flush chain ip flannel-ipv4 forward')).toEqual([]);
  });

  it('Docker that starts, with either back end, concerns the parts that are for it', async () => {
    await using _ns = ownNetns();
    const { log } = captureLog('firewall');
    const readSizes = async () => undefined;
    const options = { exec, reader: rulesetReader, readSizes, version: '(nf_tables)', log };
    const direct = createDockerDirect(options);
    const table = createContainersTable(options);
    const [chain, drop] = [
      'iptables-nft -N DOCKER-FORWARD',
      'iptables-nft -t raw -A PREROUTING -d 10.5.34.2 -j DROP',
    ];
    expect(await direct.ensure(RULES)).toBe('present');
    expect(await concerning(direct, ...THEIRS, ...CHURN)).toEqual([]);
    expect(await concerning(direct, drop)).not.toEqual([]);
    expect(await concerning(direct, chain)).not.toEqual([]);
    expect(await direct.ensure(RULES)).toBe('present');
    // Each container that starts has a drop.
    expect(await concerning(direct, drop.replace('34.2', '34.3'))).toEqual([]);
    for (const fault of ['-F TWILL-DIRECT', '-D PREROUTING 1', '-I PREROUTING -d 10.5.34.4 -j DROP', '-F']) {
      expect(await concerning(direct, `iptables-nft -t raw ${fault}`), fault).not.toEqual([]);
      expect(await direct.ensure(RULES), fault).toBe('repaired');
    }
    await table.ensure(RULES);
    const docker = 'nft add table ip docker-bridges';
    expect(await concerning(table, 'nft add table ip other')).toEqual([]);
    expect(await concerning(table, docker)).not.toEqual([]);
    expect(await table.ensure(RULES)).toBe('repaired');
    expect(await concerning(table, 'nft delete table ip docker-bridges', docker)).toEqual([]);
    expect(await table.ensure(RULES)).toBe('present');
  }, 20_000);

  it('the table for containers is not listed again until something changes', async () => {
    await using _ns = ownNetns();
    const { log } = captureLog('firewall');
    let runs = 0;
    const counted: Exec = (...args) => {
      runs++;
      return exec(...args);
    };
    const table = createContainersTable({ exec: counted, reader: rulesetReader, log });
    expect(await table.ensure(RULES)).toBe('repaired');
    expect(runs).toBe(1);
    expect(await table.ensure(RULES)).toBe('present');
    expect(runs).toBe(2);
    for (let look = 0; look < 3; look++) expect(await table.ensure(RULES)).toBe('present');
    expect(runs).toBe(2);
    expect(await table.ensure({ ...RULES, source: RULES.source.slice(1) })).toBe('repaired');
    for (const change of ['flush chain ip twill-containers twill-source', 'flush ruleset']) {
      run(`nft ${change}`);
      expect(await table.ensure(RULES)).toBe('repaired');
    }
    expect(await table.remove()).toBe(true);
    expect(await table.ensure(RULES)).toBe('repaired');
  });

  it('the reader knows chains by table and name', async () => {
    await using _ns = ownNetns();
    run('nft add table ip t', 'nft add chain ip t c', 'nft add table inet u', 'nft add chain inet u d');
    expect(await rulesetReader.hasChain('t', 'c')).toBe(true);
    const absent = [
      ['t', 'd'],
      ['u', 'd'],
      ['none', 'c'],
    ] as const;
    for (const [table, name] of absent) expect(await rulesetReader.hasChain(table, name)).toBe(false);
  });
});
