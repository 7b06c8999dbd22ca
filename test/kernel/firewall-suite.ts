// The suite of all firewall appliers on the real kernel. Each test has a namespace of its own, with foreign rules that
// must stay the same, byte for byte.
import { describe, expect, it } from 'vitest';
import type { Exec } from '../../agent/base/exec.ts';
import type { ContainersOptions } from '../../agent/firewall/nftables.ts';
import type { NftTable } from '../../agent/firewall/nftables-table.ts';
import { planFirewall } from '../../agent/firewall/rules.ts';
import type { Firewall, FirewallRules } from '../../agent/model/firewall.ts';
import { captureLog } from '../support/capture-log.ts';
import { needsNetns, title } from '../support/needs.ts';
import { createNetns, type Netns } from './netns.ts';

/** A firewall under test, and how to list and damage it from outside. */
export interface FirewallCase {
  readonly title: string;
  readonly programs: readonly string[];
  create(exec: Exec): Firewall;
  /** Puts foreign rules, a FORWARD that drops included, into the namespace. */
  prepare(ns: Netns): Promise<void>;
  /** All rules, ours and foreign, without counters, handles and comments with the time. */
  list(ns: Netns): Promise<string>;
  /** The expected listing after `ensure`. */
  readonly golden: string;
  /** Ways to damage our rules: commands, each one a program and its arguments. */
  readonly faults: Readonly<Record<string, readonly (readonly [string, ...string[]])[]>>;
}

export const RULES: FirewallRules = planFirewall({
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  ipMasq: true,
  forwardRules: true,
  randomFully: true,
  dockerDirect: true,
  links: ['flannel.1'],
  bridges: [],
});

/** Options of the table for containers in a namespace that the test is not in. */
export function optionsOf(exec: Exec): ContainersOptions {
  const hasTable = async ({ family, name }: NftTable): Promise<boolean> =>
    (await exec('nft', ['list', 'table', family, name])).exitCode === 0;
  let reads = 0;
  return { exec, reader: { hasTable, generation: async () => reads++ }, log: captureLog('firewall').log };
}

const OTHER = {
  network: { family: 'ipv4', address: '10.9.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.9.1.0', length: 24 },
} as const;

/** Applies the suite to one firewall. */
export function describeFirewall(test: FirewallCase): void {
  const need = needsNetns(...test.programs);
  describe.skipIf(need.missing)(title(test.title, need), () => {
    it('the firewall writes exactly the rules of flannel, and then finds them present', async () => {
      await using ns = await createNetns();
      await test.prepare(ns);
      expect(await test.create(ns.run).ensure(RULES)).toBe('repaired');
      expect(await test.list(ns)).toBe(test.golden);
      expect(await test.create(ns.run).ensure(RULES)).toBe('present');
      expect(await test.list(ns)).toBe(test.golden);
    });

    it.each(Object.entries(test.faults))('the firewall repairs: %s', async (_, commands) => {
      await using ns = await createNetns();
      await test.prepare(ns);
      const firewall = test.create(ns.run);
      await firewall.ensure(RULES);
      for (const [file, ...args] of commands) await ns.exec(file, ...args);
      expect(await test.list(ns)).not.toBe(test.golden);
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await test.list(ns)).toBe(test.golden);
      expect(await firewall.ensure(RULES)).toBe('present');
    });

    it('the firewall replaces changed rules, and removes a chain without rules', async () => {
      await using ns = await createNetns();
      await test.prepare(ns);
      const before = await test.list(ns);
      const firewall = test.create(ns.run);
      await firewall.ensure(
        planFirewall({
          ...OTHER,
          ipMasq: true,
          forwardRules: true,
          randomFully: false,
          dockerDirect: true,
          links: [],
          bridges: [],
        }),
      );
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await test.list(ns)).toBe(test.golden);
      expect(await firewall.ensure({ ...RULES, postrouting: [] })).toBe('repaired');
      expect(await test.list(ns)).not.toMatch(/masq"/);
      expect(await test.list(ns)).toMatch(/flanneld forward/);
      expect(await firewall.ensure({ ...RULES, postrouting: [], forward: [] })).toBe('repaired');
      expect(await firewall.ensure({ ...RULES, postrouting: [], forward: [] })).toBe('present');
      expect(await test.list(ns)).toBe(before);
    });

    it('the firewall removes all rules of ours and no others', async () => {
      await using ns = await createNetns();
      await test.prepare(ns);
      const before = await test.list(ns);
      const firewall = test.create(ns.run);
      expect(await firewall.remove()).toBe(false);
      await firewall.ensure(RULES);
      expect(await firewall.remove()).toBe(true);
      expect(await test.list(ns)).toBe(before);
      expect(await firewall.remove()).toBe(false);
    });

    it('the firewall creates nothing when there is nothing to remove', async () => {
      await using ns = await createNetns();
      expect(await test.create(ns.run).remove()).toBe(false);
      expect(await ns.exec('nft', 'list', 'ruleset')).toBe('');
      expect((await ns.run('cat', ['/proc/net/ip_tables_names'])).stdout).toBe('');
    });

    it('the firewall works in a namespace whose firewall was never used', async () => {
      await using ns = await createNetns();
      const firewall = test.create(ns.run);
      expect(await firewall.ensure(RULES)).toBe('repaired');
      expect(await firewall.ensure(RULES)).toBe('present');
    });

    it('no packet passes without the rules while they are rewritten', async () => {
      await using router = await createNetns('router');
      await using outside = await createNetns('outside');
      await using inside = await createNetns('inside');
      await joinByRouter(router, outside, inside);
      await test.prepare(router);
      const firewall = test.create(router.run);
      await firewall.ensure(RULES);
      const received = inside.exec(process.execPath, '-e', RECEIVER);
      const sent = outside.exec(process.execPath, '-e', SENDER);
      let finished = false;
      const both = Promise.all([received, sent]).finally(() => {
        finished = true;
      });
      both.catch(() => undefined);
      let rewrites = 0;
      for (; !finished; rewrites++) {
        await firewall.ensure({ ...RULES, randomFully: rewrites % 2 === 1 });
      }
      expect((await both)[0]).toBe('800 from 10.5.50.1\n');
      expect(rewrites).toBeGreaterThan(20);
    }, 30_000);
  });
}

// Each datagram is a new connection. A moment without masquerade shows as another source address; a moment without
// forward rules shows as a lost datagram, because the policy is drop.
const SENDER = `
  const { createSocket } = require('node:dgram');
  const send = (text, then) => {
    const socket = createSocket('udp4');
    socket.send(text, 7000, '10.5.50.2', () => { socket.close(); then(); });
  };
  const end = (left) => send('end', () => left > 1 && setTimeout(end, 20, left - 1));
  const flood = (left) => send('one', () => left > 1 ? setTimeout(flood, 2, left - 1) : end(20));
  const hello = createSocket('udp4', () => { clearInterval(asking); hello.close(); flood(800); });
  const asking = setInterval(() => hello.send('hello', 7000, '10.5.50.2'), 50);`;
const RECEIVER = `
  const counts = {};
  const socket = require('node:dgram').createSocket('udp4', (message, { address, port }) => {
    if (String(message) === 'hello') socket.send('yes', port, address);
    else if (String(message) === 'one') counts[address] = (counts[address] ?? 0) + 1;
    else socket.close();
  });
  socket.on('close', () => {
    for (const address in counts) console.log(counts[address] + ' from ' + address);
  });
  socket.bind(7000, '10.5.50.2');`;

// outside 203.0.113.2 ── 203.0.113.1 router 10.5.50.1 ── 10.5.50.2 inside (the network, but not the router's subnet)
async function joinByRouter(router: Netns, outside: Netns, inside: Netns): Promise<void> {
  for (const [end, link, net] of [
    [outside, 'to-outside', '203.0.113'],
    [inside, 'to-inside', '10.5.50'],
  ] as const) {
    await router.exec('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', end.name);
    await router.exec('ip', 'addr', 'add', `${net}.1/24`, 'dev', link);
    await router.exec('ip', 'link', 'set', link, 'up');
    await end.exec('ip', 'addr', 'add', `${net}.2/24`, 'dev', 'eth0');
    await end.exec('ip', 'link', 'set', 'eth0', 'up');
    await end.exec('ip', 'route', 'add', 'default', 'via', `${net}.1`);
  }
  await router.exec('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
}
