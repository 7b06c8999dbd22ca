// The checks of this host on Linux, in the private network namespace that the test runner starts this folder in.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHostChecks } from '../../agent/kernel/host-checks.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import { waitFor } from '../lab/wait.ts';
import { prefix } from '../support/build.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';

const MANY = 2_000;

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('the checks of a host', NEEDS_PRIVATE_NETNS), () => {
  const checks = createHostChecks();
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
  const batch = (lines: readonly string[]): string =>
    execFileSync('ip', ['-batch', '-'], { encoding: 'utf8', input: lines.join('\n') });
  const addresses = async (network: string): Promise<string[]> =>
    (await checks.addressesIn(prefix(network))).addresses
      .map(
        ({ dev, isBridge, answersForOthers, prefix: of }) =>
          `${dev} ${isBridge ? 'bridge ' : ''}${formatPrefix(of)}${answersForOthers ? ' proxy_arp' : ''}`,
      )
      .toSorted();
  const forwards = (link: string): string =>
    readFileSync(`/proc/sys/net/ipv4/conf/${link}/forwarding`, 'utf8').trim();

  beforeEach(() => {
    batch([
      'link add br.9 type bridge',
      'link add eth0 type veth peer name other',
      'link set br.9 up',
      'link set eth0 up',
      'link set other up',
    ]);
  });
  afterEach(() => {
    batch(['link del br.9', 'link del eth0']);
  });

  test('addresses are found by their networks, on links that are up', async () => {
    ip('address', 'add', '10.5.0.1/16', 'dev', 'br.9');
    ip('address', 'add', '10.5.3.1/24', 'dev', 'eth0');
    ip('address', 'add', '10.6.0.1/16', 'dev', 'eth0');
    ip('address', 'add', '10.0.0.9/8', 'dev', 'other');
    ip('address', 'add', '10.7.0.1', 'peer', '10.5.9.9/32', 'dev', 'other');
    expect(await addresses('10.5.0.0/16')).toEqual([
      'br.9 bridge 10.5.0.1/16',
      'eth0 10.5.3.1/24',
      'other 10.0.0.9/8',
      'other 10.5.9.9/32',
    ]);
    expect(await addresses('10.6.0.0/15')).toEqual(['eth0 10.6.0.1/16', 'other 10.0.0.9/8']);
    expect(await addresses('192.168.0.0/16')).toEqual([]);
    // And that of the loopback link.
    expect(await addresses('0.0.0.0/0')).toHaveLength(6);
    execFileSync('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/conf/br.9/proxy_arp']);
    expect((await addresses('10.5.0.0/16'))[0]).toBe('br.9 bridge 10.5.0.1/16 proxy_arp');
    ip('link', 'set', 'br.9', 'down');
    expect(await addresses('10.5.0.0/16')).not.toContainEqual(expect.stringContaining('br.9'));
  });

  test('an address is found among thousands of others', async () => {
    batch(Array.from({ length: MANY }, (_, i) => `address add 10.200.${i >> 8}.${i & 255}/32 dev eth0`));
    ip('address', 'add', '10.5.0.1/16', 'dev', 'br.9');
    expect(await addresses('10.5.0.0/16')).toEqual(['br.9 bridge 10.5.0.1/16']);
    expect(await addresses('10.200.0.0/16')).toHaveLength(MANY);
  });

  test('a change of addresses in the network is told of, and no change of others', async () => {
    const stop = new AbortController();
    let changes = 0;
    const watching = checks.watchAddressesIn(prefix('10.5.0.0/16'), () => changes++, stop.signal);
    const isToldOf = async (...args: string[]): Promise<boolean> => {
      changes = 0;
      ip(...args);
      // The events of one command come in order: the last one is always told of.
      ip('address', 'add', '10.5.99.1/32', 'dev', 'other');
      await waitFor('the change is told of', 1_000, () => changes > 0);
      ip('address', 'del', '10.5.99.1/32', 'dev', 'other');
      await setTimeout(50);
      return changes > 2;
    };
    // The kernel drops events of others once the filter stands.
    await setTimeout(200);
    try {
      expect(await isToldOf('address', 'add', '10.5.3.1/24', 'dev', 'br.9')).toBe(true);
      expect(await isToldOf('link', 'set', 'br.9', 'down')).toBe(false);
      expect(await isToldOf('link', 'set', 'br.9', 'up')).toBe(true);
      expect(await isToldOf('address', 'add', '10.6.3.1/24', 'dev', 'eth0')).toBe(false);
      expect(await isToldOf('address', 'add', '10.0.0.1/8', 'dev', 'eth0')).toBe(true);
      expect(await isToldOf('route', 'add', '10.5.7.0/24', 'dev', 'eth0', 'proto', '84')).toBe(false);
      expect(await isToldOf('link', 'add', 'veth9', 'type', 'veth')).toBe(false);
      expect(await isToldOf('link', 'del', 'veth9')).toBe(false);
      ip('link', 'add', 'br.8', 'type', 'bridge');
      ip('address', 'add', '10.5.4.1/24', 'dev', 'br.8');
      expect(await isToldOf('link', 'del', 'br.8')).toBe(true);
    } finally {
      stop.abort();
      await watching;
    }
  });

  test('routes are looked up by the rules of all programs', async () => {
    batch([
      'address add 192.168.77.1/24 dev eth0',
      'route add 10.5.2.0/24 dev eth0',
      'route add 10.5.2.0/26 dev br.9',
      'route add 10.5.6.0/24 via 192.168.77.9 dev eth0',
      'route add unreachable 10.5.3.0/24',
      'route add 10.5.4.0/23 dev br.9 table 52',
      'rule add pref 5270 lookup 52',
    ]);
    try {
      expect(
        await checks.routesTowards([
          '10.5.2.99',
          '10.5.2.2',
          '10.5.3.2',
          '10.5.4.2',
          '10.9.0.1',
          '192.168.77.1',
          '10.5.6.2',
        ]),
      ).toEqual([
        { dev: 'eth0', length: 24, table: 254 },
        { dev: 'br.9', length: 26, table: 254 },
        undefined,
        { dev: 'br.9', length: 23, table: 52 },
        undefined,
        { dev: 'eth0', length: 32, table: 255 },
        { dev: 'eth0', via: '192.168.77.9', length: 24, table: 254 },
      ]);
    } finally {
      ip('rule', 'del', 'pref', '5270');
      ip('route', 'del', 'unreachable', '10.5.3.0/24');
    }
  });

  test('closed links are told, and opened one by one or all at once', async () => {
    const links = ['all', 'br.9', 'eth0', 'gone'];
    await checks.open('all');
    expect([await checks.closedLinks(links), forwards('br.9')]).toEqual([[], '1']);
    execFileSync('sh', ['-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward']);
    expect(await checks.closedLinks(links)).toEqual(['all', 'br.9', 'eth0']);
    await checks.open('br.9');
    expect(await checks.closedLinks(links)).toEqual(['all', 'eth0']);
    await expect(checks.open('gone')).rejects.toThrow(
      /^cannot write \/proc\/sys\/net\/ipv4\/conf\/gone\/forwarding: ENOENT/,
    );
  });

  test('the sysctl file of a package lets the host forward, and checks the way back of our links loosely', () => {
    const read = (name: string): string => readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim();
    ip('link', 'add', 'flannel.9', 'type', 'bridge');
    execFileSync('sh', ['-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward']);
    execFileSync('sysctl', ['-p', 'deploy/sysctl.d/50-twill.conf']);
    expect([read('ip_forward'), read('conf/flannel.9/rp_filter'), read('conf/eth0/rp_filter')]).toEqual([
      '1',
      '2',
      '0',
    ]);
    ip('link', 'del', 'flannel.9');
  });
});
