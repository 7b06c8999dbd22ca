// The choice of the underlay on Linux, in the private network namespace that the test runner starts this folder in.
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InterfaceWish } from '../../agent/kernel/external-interface.ts';
import { createHostSource, readVxlanMac } from '../../agent/kernel/host-facts.ts';
import type { HostFacts } from '../../agent/model/host-facts.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';

const ip = (line: string): string => execFileSync('ip', line.split(' '), { encoding: 'utf8', stdio: 'pipe' });
const NONE: InterfaceWish = { iface: [], ifaceRegex: [], ifaceCanReach: undefined, publicIP: undefined };
const read = (wish: Partial<InterfaceWish> = {}, inUse?: HostFacts): Promise<HostFacts> =>
  createHostSource({ ...NONE, ...wish }).read(inUse);

/** `eth0 10.0.2.15 mtu 1500`. */
function end({ underlay, ends }: HostFacts): string {
  return `${underlay.name} ${ends.ipv4?.address} mtu ${underlay.mtuBytes}${underlay.carriesPackets ? '' : ' unbound'}`;
}

const choice = async (wish: Partial<InterfaceWish> = {}): Promise<string> => end(await read(wish));

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('the underlay on Linux', NEEDS_PRIVATE_NETNS), () => {
  // Vagrant: eth0 has the default route, eth1 leads to the other hosts.
  beforeEach(() => {
    for (const [name, mac] of [
      ['eth0', '52:54:00:00:00:01'],
      ['eth1', '52:54:00:00:01:01'],
    ]) {
      ip(`link add ${name} address ${mac} type veth peer name ${name}-end`);
      ip(`link set ${name}-end up`);
      ip(`link set ${name} up`);
    }
    ip('addr add 10.0.2.15/24 dev eth0');
    ip('addr add 192.168.77.1/24 dev eth1');
    ip('route add default via 10.0.2.2 dev eth0');
  });
  afterEach(() => {
    const undo = [
      'link delete eth0',
      'link delete eth1',
      'link delete flannel.1',
      'link delete br0',
      'rule delete table 100',
    ];
    for (const line of [...undo, 'addr flush dev lo scope global']) {
      try {
        ip(line);
      } catch {
        // The test has not made it.
      }
    }
  });

  test('the facts hold the link of the default route, its MAC and its networks', async () => {
    const { underlay, ends, node, why } = await read();
    expect(underlay).toEqual({ name: 'eth0', carriesPackets: true, mtuBytes: 1500, hasCarrier: true });
    expect(ends.ipv4).toMatchObject({ address: '10.0.2.15', publicIP: '10.0.2.15' });
    expect(ends.ipv4?.onLink.map((each) => `${formatPrefix(each)} ${each.dev}`)).toEqual([
      '10.0.2.0/24 eth0',
    ]);
    expect(node.mac).toBe('52:54:00:00:00:01');
    expect(why).toBe('the default route');
  });

  test('an announced address decides by the link that has it; an address of a NAT is announced alone', async () => {
    expect(await choice({ publicIP: '192.168.77.1' })).toBe('eth1 192.168.77.1 mtu 1500');
    const nat = await read({ publicIP: '203.0.113.9' });
    expect([end(nat), nat.ends.ipv4?.publicIP]).toEqual(['eth0 10.0.2.15 mtu 1500', '203.0.113.9']);
  });

  test('the way to an address gives its source, and its link the same', async () => {
    ip('addr add 10.99.0.1/32 dev eth0');
    ip('route add 10.50.0.0/16 via 10.0.2.2 dev eth0 src 10.99.0.1');
    expect(await choice({ ifaceCanReach: '10.50.0.9' })).toBe('eth0 10.99.0.1 mtu 1500');
    expect(await choice({ ifaceCanReach: '192.168.77.9' })).toBe('eth1 192.168.77.1 mtu 1500');
  });

  test('the way to an address of the host itself leads to the link that has it, and never to loopback', async () => {
    expect(await choice({ ifaceCanReach: '192.168.77.1' })).toBe('eth1 192.168.77.1 mtu 1500');
    await expect(choice({ ifaceCanReach: '127.0.0.1' })).rejects.toThrow(
      'other hosts cannot reach 127.0.0.1 of interface lo',
    );
  });

  test('routes that lead nowhere are no way to an address', async () => {
    for (const type of ['blackhole', 'unreachable', 'prohibit']) {
      ip(`route add ${type} 10.66.0.0/16`);
      await expect(choice({ ifaceCanReach: '10.66.0.1' })).rejects.toThrow('no route leads to 10.66.0.1');
      ip(`route delete ${type} 10.66.0.0/16`);
    }
  });

  test('a default route with two gateways on one link names that link', async () => {
    ip('route replace default nexthop via 10.0.2.2 dev eth0 nexthop via 10.0.2.3 dev eth0');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1500');
  });

  test('a default route over two links is ambiguous, unless it has a source', async () => {
    const hops = 'nexthop via 10.0.2.2 dev eth0 nexthop via 192.168.77.2 dev eth1';
    ip(`route replace default ${hops}`);
    await expect(choice()).rejects.toThrow('the default route leads out of eth0 and eth1: nothing decides');
    ip('addr add 10.99.0.1/32 dev lo');
    ip('link set eth1 mtu 1400');
    ip(`route replace default src 10.99.0.1 ${hops}`);
    const facts = await read();
    expect(end(facts)).toBe('lo 10.99.0.1 mtu 1400 unbound');
    expect(end(await read({}, facts))).toBe('lo 10.99.0.1 mtu 1400 unbound');
    expect(facts.node.mac).toBe('52:54:00:00:00:01');
    expect(facts.ends.ipv4?.onLink.map(({ dev }) => dev)).toEqual(['eth0', 'eth1']);
  });

  test('a default route of flannel.1 does not make it the underlay', async () => {
    ip('link add flannel.1 type vxlan id 1 dstport 8472 local 10.0.2.15 dev eth0');
    ip('addr add 10.0.2.77/24 dev flannel.1');
    ip('link set flannel.1 up');
    ip('route delete default');
    ip('route add default dev flannel.1 src 10.0.2.77');
    ip('route add default via 10.0.2.2 dev eth0 metric 100');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1500');
    await expect(choice({ iface: ['flannel.1'] })).rejects.toThrow(
      'interface flannel.1 is part of an overlay network',
    );
  });

  test('a virtual address is not taken, whether it is the first one or not', async () => {
    ip('addr delete 10.0.2.15/24 dev eth0');
    ip('addr add 10.0.2.100/32 dev eth0');
    ip('addr add 10.0.2.15/24 dev eth0');
    ip('route add default via 10.0.2.2 dev eth0');
    expect(ip('-o -4 addr show dev eth0')).toMatch(/10\.0\.2\.100[^]*10\.0\.2\.15/);
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1500');
    expect(await choice({ iface: ['eth0'] })).toBe('eth0 10.0.2.15 mtu 1500');
  });

  test('a virtual address that came first is not taken where a device tells the address of the last run', async () => {
    ip('link add flannel.1 type vxlan id 1 dstport 8472 local 10.0.2.15 dev eth0');
    ip('addr delete 10.0.2.15/24 dev eth0');
    ip('addr add 10.0.2.100/24 dev eth0');
    ip('addr add 10.0.2.15/24 dev eth0');
    ip('route add default via 10.0.2.2 dev eth0');
    expect(ip('-o -4 addr show dev eth0')).toContain('10.0.2.15/24 scope global secondary');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1500');
    ip('link delete flannel.1');
    expect(await choice({ lastAddress: '10.0.2.15' })).toBe('eth0 10.0.2.15 mtu 1500');
    expect(await choice()).toBe('eth0 10.0.2.100 mtu 1500');
  });

  test('the address in use stays when another becomes the first one, and when a better default route comes', async () => {
    const facts = await read();
    ip('addr add 10.9.0.1/24 dev eth0 scope link');
    ip('addr change 10.0.2.15/24 dev eth0 preferred_lft 0 valid_lft 600');
    ip('addr add 10.0.2.100/24 dev eth0');
    ip('route delete default via 10.0.2.2 dev eth0');
    ip('route add default via 192.168.77.254 dev eth1');
    expect(await read({}, facts)).toMatchObject({
      underlay: { name: 'eth0' },
      ends: { ipv4: { address: '10.0.2.15' } },
    });
    expect(end(await read())).toBe('eth1 192.168.77.1 mtu 1500');
    ip('addr delete 10.0.2.15/24 dev eth0');
    expect(end(await read({}, facts))).toBe('eth1 192.168.77.1 mtu 1500');
  });

  test('a default route of a table that rules lead to counts when the main table has none', async () => {
    ip('route delete default');
    ip('route add default via 192.168.77.254 dev eth1 table 100');
    await expect(choice()).rejects.toThrow('no default route leads out of any interface');
    ip('rule add from all lookup 100');
    const facts = await read();
    expect(end(facts)).toBe('eth1 192.168.77.1 mtu 1500');
    expect(facts.why).toBe('the default route by the rules of policy routing');
    expect(await read({}, facts)).toEqual(facts);
  });

  test('the MTU is the smallest one of the link and of the routes in use', async () => {
    ip('route replace default via 10.0.2.2 dev eth0 mtu 1300');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1300');
    ip('route replace 10.0.2.0/24 dev eth0 src 10.0.2.15 mtu lock 1200');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1200');
    ip('route add 10.40.0.0/16 dev eth0 mtu 576');
    expect(await choice()).toBe('eth0 10.0.2.15 mtu 1200');
  });

  test('the MAC that peers know is part of the facts, and a vxlan device that stands tells its own', async () => {
    expect((await read({ knownMac: '02:00:00:00:00:0a' })).ends.ipv4?.knownMac).toBe('02:00:00:00:00:0a');
    expect(await readVxlanMac('flannel.1')).toBeUndefined();
    expect(await readVxlanMac('eth0')).toBeUndefined();
    ip('link add flannel.1 address 02:00:00:00:00:0b type vxlan id 1 dev eth0 dstport 8472 local 10.0.2.15');
    expect(await readVxlanMac('flannel.1')).toBe('02:00:00:00:00:0b');
  });

  test('an address of a bridge that no route leads out of has the MTU of the way out', async () => {
    ip('link add br0 type bridge');
    ip('link set br0 mtu 9000 up');
    ip('addr add 10.99.0.1/32 dev br0');
    expect(await choice({ iface: ['br0'] })).toBe('br0 10.99.0.1 mtu 1500 unbound');
  });

  test('changes of the underlay are told, and changes of other links, addresses and routes are not', async () => {
    const source = createHostSource(NONE);
    const facts = await source.read();
    const stop = new AbortController();
    let told = 0;
    const watching = source.watch(() => told++, stop.signal);
    const isTold = async (...lines: readonly string[]): Promise<boolean> => {
      const before = told;
      for (const line of lines) ip(line);
      // The lines after it are events too, and come later.
      await new Promise((resolve) => setTimeout(resolve, 50));
      return told > before;
    };
    try {
      expect(await isTold('link set eth1 mtu 1400', 'link set eth1 mtu 1500')).toBe(false);
      expect(await isTold('addr add 192.168.77.9/24 dev eth1', 'addr del 192.168.77.9/24 dev eth1')).toBe(
        false,
      );
      expect(await isTold('route add 10.66.0.0/16 via 10.0.2.2', 'route del 10.66.0.0/16')).toBe(false);
      expect(await isTold('route add 10.66.0.0/16 dev eth1', 'route del 10.66.0.0/16')).toBe(false);
      expect(await isTold('link set eth0 mtu 1400')).toBe(true);
      expect(await isTold('addr add 10.0.2.16/24 dev eth0')).toBe(true);
      expect(await isTold('route replace default via 10.0.2.2 dev eth0 mtu 1200')).toBe(true);
      // Without an underlay any link may help.
      ip('link set eth0 down');
      ip('link set eth1 down');
      await expect(source.read(facts)).rejects.toThrow('no default route');
      expect(await isTold('link set eth1 up')).toBe(true);
    } finally {
      stop.abort();
      await watching;
    }
  });
});
