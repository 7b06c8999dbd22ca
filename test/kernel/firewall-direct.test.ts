// Docker's drops of packets to containers, and the accept of ours before them.
//
//     peer 10.5.2.2 ── tunnel ─┐
//             192.168.77.2 ── eth0 ── host ── to-web ── web 10.5.1.2
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../agent/base/exec.ts';
import { createDockerDirect } from '../../agent/firewall/docker-direct.ts';
import { createContainersTable } from '../../agent/firewall/nftables.ts';
import { planFirewall } from '../../agent/firewall/rules.ts';
import type { FirewallPart } from '../../agent/model/firewall.ts';
import type { ReadTableSizes, RulesetReader } from '../../agent/model/ruleset.ts';
import { captureLog } from '../support/capture-log.ts';
import { needsNetns, title } from '../support/needs.ts';
import { optionsOf } from './firewall-suite.ts';
import { createNetns, type Netns } from './netns.ts';

const INPUT = {
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.1.0', length: 24 },
  ipMasq: false,
  forwardRules: false,
  randomFully: false,
  dockerDirect: true,
  links: ['flannel.1'],
  bridges: [],
} as const;
const RULES = planFirewall(INPUT);
const OFF = planFirewall({ ...INPUT, dockerDirect: false });

const DROP = '-d 10.5.1.2/32 ! -i to-web -j DROP';
const JUMP = '-A PREROUTING -m comment --comment "twill direct" -j TWILL-DIRECT';
const OWN =
  '-A TWILL-DIRECT -s 10.5.0.0/16 -d 10.5.1.0/24 -i flannel.1 -m comment --comment "twill direct" -j ACCEPT';

/** The part in a namespace that this process is not in: the old tables count by what their program says. */
function openIn(ns: Netns): {
  readonly part: FirewallPart;
  readonly lines: readonly string[];
  readonly runs: string[];
} {
  const { log, lines } = captureLog('firewall');
  const runs: string[] = [];
  const exec: Exec = (file, args, options) => {
    runs.push(file);
    return ns.run(file, args, options);
  };
  const reader: RulesetReader = {
    baseChains: async () => ({ chains: [], long: new Set(), small: new Set() }),
    hasTable: async ({ family, name }) =>
      (await ns.run('nft', ['list', 'table', family, name])).exitCode === 0,
    hasChain: async (table, name) =>
      (await ns.run('nft', ['list', 'chain', 'ip', table, name])).exitCode === 0,
    generation: async () => 1,
  };
  const readSizes: ReadTableSizes = async () => {
    const names = (await ns.exec('cat', '/proc/net/ip_tables_names'))
      .split('\n')
      .filter((name) => name !== '');
    const sizes = names.map(async (name) => {
      const rules = await ns.exec('iptables-legacy', '-t', name, '-S');
      const size = `${rules.length}`;
      return [name, { parent: size, table: size, bytes: rules.length }] as const;
    });
    return new Map(await Promise.all(sizes));
  };
  const part = createDockerDirect({ exec, version: 'iptables v1.8.9 (nf_tables)', reader, readSizes, log });
  return { part, lines, runs };
}

const raw = async (ns: Netns, program: string): Promise<readonly string[]> =>
  (await ns.exec(program, '-t', 'raw', '-S')).split('\n').filter((line) => line.startsWith('-A '));

const programs = ['iptables-nft', 'iptables-legacy'];
const need = needsNetns('nft', 'iptables', ...programs, 'ping');

describe.skipIf(need.missing)(title("Docker's drops before routing", need), () => {
  it('nothing is made, and no program runs, on a host without Docker', async () => {
    await using ns = await createNetns();
    const { part, lines, runs } = openIn(ns);
    for (const rules of [RULES, OFF, RULES]) expect(await part.ensure(rules)).toBe('present');
    expect(await part.remove()).toBe(false);
    expect([runs, lines]).toEqual([[], []]);
    expect(await ns.exec('nft', 'list', 'ruleset')).toBe('');
  });

  it.each(programs)('raw rules of another program call for nothing: %s', async (program) => {
    await using ns = await createNetns();
    await run(ns, `${program} -t raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP`);
    await run(ns, `${program} -t raw -A PREROUTING -d 10.5.1.2/32 -j NOTRACK`);
    const { part, runs } = openIn(ns);
    expect(await part.ensure(RULES)).toBe('present');
    expect(await raw(ns, program)).toHaveLength(2);
    const looks = runs.length;
    if (program === 'iptables-legacy') {
      expect(await part.ensure(RULES)).toBe('present');
      expect(runs).toHaveLength(looks);
    }
  });

  it.each(
    programs.flatMap((program) =>
      [
        { docker: 'the chain of its forward rules', command: `${program} -N DOCKER-FORWARD`, drops: [] },
        {
          docker: 'a drop',
          command: `${program} -t raw -A PREROUTING ${DROP}`,
          drops: [`-A PREROUTING ${DROP}`],
        },
      ].map((each) => ({ program, ...each })),
    ),
  )(
    'Docker is known by $docker in $program, also one that starts later',
    async ({ program, command, drops }) => {
      await using ns = await createNetns();
      const { part, lines } = openIn(ns);
      expect(await part.ensure(RULES)).toBe('present');
      await run(ns, command);
      // Over host-gw there is no link before the first peer.
      expect(await part.ensure(OFF)).toBe('present');
      expect(await part.ensure(RULES)).toBe('present');
      expect(await raw(ns, program)).toEqual([JUMP, ...drops, OWN]);
      expect(lines).toEqual([
        "info  firewall: packets of peers to containers are accepted before Docker's drops",
      ]);
      // Docker appends, so ours stays first without a look.
      await run(ns, `${program} -t raw -A PREROUTING ${DROP.replace('.2/', '.3/')}`);
      expect((await raw(ns, program))[0]).toBe(JUMP);
      expect(await part.ensure(RULES)).toBe('present');
      for (const fault of ['-F TWILL-DIRECT', '-F', '-D PREROUTING 1', `-I PREROUTING ${DROP}`]) {
        await run(ns, `${program} -t raw ${fault}`);
        expect(await part.ensure(RULES), fault).toBe('repaired');
        expect([(await raw(ns, program))[0], (await raw(ns, program)).at(-1)], fault).toEqual([JUMP, OWN]);
      }
      // Another run of the agent, after Docker has gone.
      await run(ns, `${program} -F`);
      const next = openIn(ns).part;
      expect(await next.ensure(planFirewall({ ...INPUT, links: ['eth0'] }))).toBe('present');
      expect((await raw(ns, program)).at(-1)).toBe(OWN.replace('flannel.1', 'eth0'));
      expect(await next.ensure(OFF)).toBe('repaired');
      expect((await raw(ns, program)).join()).not.toContain('TWILL');
      expect(await next.ensure(OFF)).toBe('present');
      await next.ensure(RULES);
      await run(ns, `${program} -t raw -A PREROUTING ${DROP.replace('.2/', '.4/')}`);
      await next.ensure(RULES);
      expect((await raw(ns, program))[0]).toBe(JUMP);
      expect(await openIn(ns).part.remove()).toBe(true);
      expect((await raw(ns, program)).join()).not.toContain('TWILL');
      expect(await openIn(ns).part.remove()).toBe(false);
    },
  );

  it('a program that fails is named once, and fails nothing else', async () => {
    await using ns = await createNetns();
    await run(ns, 'iptables-nft -N DOCKER-FORWARD');
    await run(ns, 'iptables-legacy -N DOCKER-FORWARD');
    const { log, lines } = captureLog('firewall');
    const exec: Exec = async (file, args, options) =>
      file === 'iptables-legacy'
        ? { exitCode: 3, stdout: '', stderr: 'no such table' }
        : ns.run(file, args, options);
    const reader = { hasChain: async () => true } as unknown as RulesetReader;
    const sizes = new Map([['filter', { parent: '', table: '', bytes: 0 }]]);
    const readSizes = async () => sizes;
    const part = createDockerDirect({ exec, version: '(nf_tables)', reader, readSizes, log });
    await part.ensure(RULES);
    sizes.set('filter', { parent: '', table: '1', bytes: 1 });
    await part.ensure(RULES);
    expect(await raw(ns, 'iptables-nft')).toEqual([JUMP, OWN]);
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringContaining("cannot accept packets of peers before Docker's drops error="),
    ]);
  });

  it.each(programs)('the drop is lifted for links of peers alone: %s', async (program) => {
    await using host = await createNetns('host');
    await using peer = await createNetns('peer');
    await using web = await createNetns('web');
    await wire(host, peer, web);
    await run(host, `${program} -N DOCKER-FORWARD`);
    await run(host, `${program} -t raw -A PREROUTING ${DROP}`);
    const reaches = async (from: string): Promise<boolean> =>
      (await peer.run('ping', ['-c', '1', '-W', '1', '-I', from, '10.5.1.2'])).exitCode === 0;
    expect(await reaches('10.5.2.2')).toBe(false);
    const { part } = openIn(host);
    await part.ensure(RULES);
    expect(await reaches('10.5.2.2')).toBe(true);
    // By the underlay: with an address of its own, and with one of the network that belongs to the tunnel.
    expect(await reaches('192.168.77.2')).toBe(false);
    await run(peer, 'ip route replace 10.5.1.0/24 via 192.168.77.1');
    expect(await reaches('10.5.2.2')).toBe(false);
    await part.ensure(planFirewall({ ...INPUT, links: ['eth0', 'flannel.1'] }));
    expect(await reaches('10.5.2.2')).toBe(true);
    expect(await reaches('192.168.77.2')).toBe(false);
  });

  it("the mark of packets from peers passes the chains of Docker's nftables back end", async () => {
    await using host = await createNetns('host');
    await using peer = await createNetns('peer');
    await using web = await createNetns('web');
    await wire(host, peer, web);
    // Docker's own chains, as it makes them with the flags that the log names.
    for (const line of [
      'table ip docker-bridges',
      'chain ip docker-bridges filter-FORWARD { type filter hook forward priority filter; policy accept; }',
      'chain ip docker-bridges filter-forward-in__web',
      'map ip docker-bridges filter-forward-in-jumps { type ifname : verdict; }',
      'element ip docker-bridges filter-forward-in-jumps { to-web : jump filter-forward-in__web }',
      'rule ip docker-bridges filter-FORWARD meta mark & 0x1000000 == 0x1000000 accept',
      'rule ip docker-bridges filter-FORWARD oifname vmap @filter-forward-in-jumps',
      'rule ip docker-bridges filter-forward-in__web ct state established,related accept',
      'rule ip docker-bridges filter-forward-in__web counter drop',
    ])
      await run(host, `nft add ${line}`);
    const reaches = async (from: string): Promise<boolean> =>
      (await peer.run('ping', ['-c', '1', '-W', '1', '-I', from, '10.5.1.2'])).exitCode === 0;
    expect(await reaches('10.5.2.2')).toBe(false);
    await createContainersTable(optionsOf(host.run)).ensure(RULES);
    expect(await reaches('10.5.2.2')).toBe(true);
    await run(peer, 'ip route replace 10.5.1.0/24 via 192.168.77.1');
    expect(await reaches('10.5.2.2')).toBe(false);
  });
});

async function wire(host: Netns, peer: Netns, web: Netns): Promise<void> {
  const lines: readonly (readonly [Netns, string])[] = [
    [host, `ip link add eth0 type veth peer name eth0 netns ${peer.name}`],
    [host, `ip link add flannel.1 type veth peer name flannel.1 netns ${peer.name}`],
    [host, `ip link add to-web type veth peer name eth0 netns ${web.name}`],
    [host, 'ip addr add 192.168.77.1/24 dev eth0'],
    [host, 'ip addr add 10.5.1.1/24 dev to-web'],
    [peer, 'ip addr add 192.168.77.2/24 dev eth0'],
    [peer, 'ip addr add 10.5.2.2/32 dev lo'],
    [web, 'ip addr add 10.5.1.2/24 dev eth0'],
    ...[host, peer].flatMap((ns) =>
      ['eth0', 'flannel.1'].map((link) => [ns, `ip link set ${link} up`] as const),
    ),
    [host, 'ip link set to-web up'],
    [web, 'ip link set eth0 up'],
    [web, 'ip route add default via 10.5.1.1'],
    [host, 'ip addr add 10.5.1.0/32 dev flannel.1'],
    [peer, 'ip addr add 10.5.2.0/32 dev flannel.1'],
    [host, 'ip route add 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink'],
    [peer, 'ip route add 10.5.1.0/24 via 10.5.1.0 dev flannel.1 onlink'],
    [host, 'sysctl -q -w net.ipv4.ip_forward=1'],
  ];
  for (const [ns, line] of lines) await run(ns, line);
  for (const link of ['all', 'eth0', 'flannel.1'])
    await run(host, `sysctl -q -w net/ipv4/conf/${link}/rp_filter=0`);
}

async function run(ns: Netns, line: string): Promise<void> {
  const [file = '', ...args] = line.split(' ');
  await ns.exec(file, ...args);
}
