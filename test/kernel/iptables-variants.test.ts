// The variant of iptables that engines use gets our rules, whatever `iptables` itself is.
import { afterEach, describe, expect, it } from 'vitest';
import { type Exec, exec } from '../../agent/base/exec.ts';
import { openFirewall } from '../../agent/firewall/open-firewall.ts';
import { rulesetReader as reader } from '../../agent/kernel/netlink/ruleset.ts';
import { readTableSizes as readSizes } from '../../agent/kernel/old-iptables.ts';
import { captureLog } from '../support/capture-log.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsNetns, title } from '../support/needs.ts';
import { DOCKER_28 } from './engine-rules.ts';
import { RULES } from './firewall-suite.ts';
import { ownNetns } from './netns.ts';

const [NEW, OLD] = ['iptables-nft', 'iptables-legacy'] as const;
const need = allOf(needsNetns('nft', NEW, OLD), NEEDS_PRIVATE_NETNS);

describe.skipIf(need.missing)(title('the variants of iptables', need), () => {
  const ns = ownNetns();
  const run = async (program: string, ...lines: readonly string[]): Promise<void> => {
    for (const line of lines) await ns.exec(program, '-w', '5', ...line.split(' '));
  };
  /** The variants with our rules. */
  const holders = async (): Promise<readonly string[]> => {
    const found: string[] = [];
    for (const program of [NEW, OLD]) {
      const text = await ns.exec(`${program}-save`);
      const has = ['FLANNEL-FWD', 'FLANNEL-POSTRTG'].map((chain) => text.includes(`-j ${chain}`));
      if (has.includes(true)) found.push(has.includes(false) ? `half of ${program}` : program);
    }
    return found;
  };
  /** Opens the firewall on a host whose `iptables` is that variant. */
  const open = async (variant: string, absent?: string) => {
    const { log, lines } = captureLog('firewall');
    const runs: string[] = [];
    const programs: Exec = (file, args, options) => {
      const program = file.replace(/^iptables(?=$|-save$|-restore$)/, variant);
      runs.push(program);
      return exec(program === absent ? '/nowhere' : program, args, options);
    };
    const options = { enableNFTables: false, log, exec: programs, reader, readSizes };
    return { firewall: (await openFirewall(options)).active, lines, runs };
  };

  afterEach(async () => {
    const tables = ['filter', 'nat', 'raw'];
    await run(OLD, '-P FORWARD ACCEPT', ...tables.flatMap((table) => [`-t ${table} -F`, `-t ${table} -X`]));
    await ns.exec('nft', 'flush', 'ruleset');
  });

  it.each([NEW, OLD])('without an engine the rules go into the default, %s', async (variant) => {
    const { firewall, lines } = await open(variant);
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await firewall.ensure(RULES)).toBe('present');
    expect(await holders()).toEqual([variant]);
    expect(firewall.isAnnounced()).toBe(variant === NEW);
    expect(await firewall.remove()).toBe(true);
    expect(await holders()).toEqual([]);
    expect(lines).toEqual([]);
  });

  it.each([
    [OLD, NEW, 'DOCKER'],
    [NEW, OLD, 'DOCKER'],
    [OLD, NEW, 'NETAVARK_FORWARD'],
    [OLD, NEW, 'KUBE-FIREWALL'],
    [OLD, NEW, 'KUBE-FORWARD'],
    [OLD, NEW, 'CNI-FORWARD'],
  ])(
    'the rules go into %s, and not into the default %s, beside the chain %s',
    async (engine, other, chain) => {
      await run(engine, `-N ${chain}`);
      const { firewall, lines } = await open(other);
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await firewall.ensure(RULES)).toBe('present');
      expect(await holders()).toEqual([engine]);
      expect(firewall.isAnnounced()).toBe(engine === NEW);
      expect(lines).toEqual([`info  firewall: writes the iptables rules by ${engine} chains=${chain}`]);
      expect(await firewall.remove()).toBe(true);
      expect(await holders()).toEqual([]);
    },
  );

  it('the rules move when an engine starts, and go into both where both have one', async () => {
    const { firewall, lines, runs } = await open(NEW);
    await firewall.ensure(RULES);
    await run(OLD, ...DOCKER_28);
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await holders()).toEqual([OLD]);
    await run(NEW, '-N NETAVARK_FORWARD');
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await holders()).toEqual([NEW, OLD]);
    await firewall.ensure(RULES);
    runs.length = 0;
    expect(await firewall.ensure(RULES)).toBe('present');
    expect(runs).toEqual([]);
    await run(OLD, '-D FORWARD 1');
    await run(NEW, '-D FORWARD 1');
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await holders()).toEqual([NEW, OLD]);
    expect(lines).toEqual([
      'info  firewall: writes the iptables rules by iptables-legacy chains=DOCKER',
      "info  firewall: packets of peers to containers are accepted before Docker's drops",
      'info  firewall: removed the rules in iptables-nft, which no engine uses',
      'info  firewall: writes the iptables rules by iptables-nft and iptables-legacy chains="NETAVARK_FORWARD, DOCKER"',
    ]);
  });

  it('rules of an earlier run go from the variant that is not in use any more', async () => {
    await run(OLD, '-N DOCKER');
    await (await open(NEW)).firewall.ensure(RULES);
    expect(await holders()).toEqual([OLD]);
    await run(OLD, '-X DOCKER');
    await (await open(NEW)).firewall.ensure(RULES);
    expect(await holders()).toEqual([NEW]);
  });

  it.each([
    [OLD, NEW],
    [NEW, OLD],
  ])('the default stays in use where %s is not installed', async (absent, variant) => {
    await run(absent, '-N DOCKER');
    const { firewall } = await open(variant, absent);
    expect(await firewall.ensure(RULES)).toBe('repaired');
    expect(await holders()).toEqual([variant]);
  });

  it('a look runs no program on a host with the newer iptables alone, while no rule changes', async () => {
    const { firewall, runs } = await open(NEW);
    // Our own write is a change, so that a second look follows.
    for (const outcome of ['repaired', 'present']) expect(await firewall.ensure(RULES)).toBe(outcome);
    runs.length = 0;
    expect(await firewall.ensure(RULES)).toBe('present');
    expect(runs).toEqual([]);
  });
});
