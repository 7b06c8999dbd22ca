// The real kernel, in the private network namespace that the test runner starts this folder in.
import { beforeAll, describe, expect, test } from 'vitest';
import { diff } from '../../agent/kernel/diff.ts';
import { LIMITS } from '../../agent/kernel/limits.ts';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { formatHostState, type HostObject, type HostState } from '../../agent/model/host-state.ts';
import type { KernelEvent } from '../../agent/model/kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../support/golden-states.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { addEth0, ip } from './eth0.ts';
import { kernelSuite } from './kernel-suite.ts';

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('the kernel of Linux', NEEDS_PRIVATE_NETNS), () => {
  beforeAll(addEth0);
  kernelSuite(() => openNetlinkKernel());

  test('our routes are deleted with any metric, and the wanted one is kept', async () => {
    await using kernel = openNetlinkKernel();
    const base = { kind: 'route', via: undefined, onlink: false } as const;
    const state: HostState = [
      { ...base, type: 'blackhole', dst: '10.5.1.0/24', dev: undefined },
      { ...base, type: 'unicast', dst: '10.5.2.0/24', dev: 'eth0' },
    ];
    await kernel.apply(diff(state, await kernel.read()));
    const stale: readonly (readonly string[])[] = [
      ['blackhole', '10.5.1.0/24', 'metric', '7'],
      ['blackhole', '10.5.3.0/24'],
      ['blackhole', '10.5.3.0/24', 'metric', '8'],
      ['10.5.2.0/24', 'dev', 'eth0', 'scope', 'link', 'metric', '9'],
    ];
    for (const route of stale) ip('route', 'add', ...route, 'proto', '84');
    expect(await kernel.apply(diff(state, await kernel.read()))).toEqual([]);
    expect(formatHostState(await kernel.read())).toBe(formatHostState(state));
    const left = ip('route', 'show', 'proto', '84').trim().split(/ *\n/);
    expect(left).toEqual(['blackhole 10.5.1.0/24 metric 4294967295', '10.5.2.0/24 dev eth0 scope link']);
    expect(await kernel.apply(diff([], await kernel.read()))).toEqual([]);
    expect(ip('route', 'show', 'proto', '84')).toBe('');
  });

  const routes = (dst: string): string[] => ip('route', 'show', dst).trim().split(/ *\n/).filter(Boolean);

  // As flanneld, when it ended, left them: the same routes as ours, with the protocol of `ip route add`.
  test.each(['host-gw', 'vxlan'])(
    'a route that flannel left behind and that equals ours is taken over: %s',
    async (type) => {
      await using kernel = openNetlinkKernel();
      const dst = '10.5.2.0/24';
      const state = await plan(type, {}, [type === 'vxlan' ? vxlanPeer(2) : hostGwPeer(2)]);
      try {
        expect(await kernel.apply(diff(state, await kernel.read()))).toEqual([]);
        const [ours = ''] = routes(dst);
        expect(ours).toContain('proto 84');
        ip('route', 'del', dst);
        ip('route', 'add', ...ours.replace(/ proto 84| scope link/g, '').split(/ +/));
        expect(await kernel.apply(diff(state, await kernel.read()))).toEqual([]);
        expect(routes(dst)).toEqual([ours]);
        await kernel.apply(diff([], await kernel.read()));
        expect(routes(dst)).toEqual([]);
      } finally {
        await kernel.apply(diff([], await kernel.read()));
        for (const _ of routes(dst)) ip('route', 'del', dst);
      }
    },
  );

  // As the kernel, an operator, bird and a program that drops packets make them.
  test.each([
    ['dev eth0 proto kernel scope link', 'dev eth0 proto kernel'],
    ['via 192.168.77.9 proto static', 'via 192.168.77.9 dev eth0 proto static'],
    ['via 192.168.77.9 proto bird', 'via 192.168.77.9 dev eth0 proto bird'],
    ['unreachable', 'unreachable proto boot'],
    ['blackhole proto static', 'blackhole proto static'],
    ['nexthop via 192.168.77.8 nexthop via 192.168.77.9', 'proto boot'],
  ])(
    'a foreign route (%s) is never replaced or deleted by ours, and the error names it',
    async (words, named) => {
      await using kernel = openNetlinkKernel();
      const [type, ...rest] = words.split(' ');
      const isTyped = type === 'unreachable' || type === 'blackhole';
      const args = isTyped ? [type, '10.5.3.0/24', ...rest] : ['10.5.3.0/24', ...words.split(' ')];
      ip('route', 'add', ...args);
      try {
        const before = ip('route', 'show', '10.5.3.0/24');
        const state = await plan('host-gw', {}, [hostGwPeer(2), hostGwPeer(3)]);
        const failures = await kernel.apply(diff(state, await kernel.read()));
        expect(failures.map(({ change, error }) => [change.object, error.errno])).toEqual([
          [state[1], 'EEXIST'],
        ]);
        expect(failures[0]?.error.message).toContain('10.5.3.0/24 is a route of another program: ');
        expect(failures[0]?.error.message).toContain(named);
        // Neither our clean-up nor a change of our route touches it.
        await kernel.apply(diff([], await kernel.read()));
        await kernel.apply(state.map((object) => ({ op: 'delete', object })));
        expect(ip('route', 'show', '10.5.3.0/24')).toBe(before);
      } finally {
        ip('route', 'del', ...args.slice(0, isTyped ? 2 : 1));
      }
    },
  );

  test('our route is replaced alone where a foreign one stands before or behind it', async () => {
    await using kernel = openNetlinkKernel();
    const [old, next] = [
      await plan('host-gw', {}, [hostGwPeer(2)]),
      await plan('host-gw', {}, [hostGwPeer(2, '192.168.77.22')]),
    ];
    for (const verb of ['prepend', 'append']) {
      await kernel.apply(diff(old, []));
      ip('route', verb, '10.5.2.0/24', 'via', '192.168.77.9', 'proto', 'static');
      expect(await kernel.apply(diff(next, await kernel.read()))).toEqual([]);
      expect(routes('10.5.2.0/24').toSorted()).toEqual([
        '10.5.2.0/24 via 192.168.77.22 dev eth0 proto 84',
        '10.5.2.0/24 via 192.168.77.9 dev eth0 proto static',
      ]);
      expect(await kernel.apply(diff([], await kernel.read()))).toEqual([]);
      expect(routes('10.5.2.0/24')).toEqual(['10.5.2.0/24 via 192.168.77.9 dev eth0 proto static']);
      ip('route', 'del', '10.5.2.0/24');
    }
  });

  test('a foreign route that takes the place of ours, or goes, is reported', async () => {
    await using kernel = openNetlinkKernel();
    const stop = new AbortController();
    const seen: KernelEvent[] = [];
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal)) seen.push(event);
    })();
    await expect.poll(() => seen).toEqual([{ type: 'unknown' }]);
    await kernel.apply(diff(await plan('host-gw', {}, [hostGwPeer(2)]), await kernel.read()));
    await expect.poll(() => seen.at(-1)?.type).toBe('written');
    const taken: KernelEvent = { type: 'foreign', key: 'route 10.5.2.0/24' };
    for (const args of [
      ['replace', 'unreachable', '10.5.2.0/24'],
      ['del', '10.5.2.0/24'],
    ]) {
      seen.length = 0;
      ip('route', ...args);
      await expect.poll(() => seen).toEqual([taken]);
    }
    stop.abort();
    await watching;
  });

  test.each([
    ['bridge', 'link add flannel.1 type bridge'],
    ['vxlan', 'link add flannel0 type vxlan id 99 dstport 4789 dev eth0'],
    ['tap', 'tuntap add dev flannel0 mode tap'],
    ['tun multi_queue', 'tuntap add dev flannel0 mode tun multi_queue'],
  ])(
    'a foreign link (%s) with the name of ours is kept, named, and nothing is put on it',
    async (type, command) => {
      await using kernel = openNetlinkKernel();
      const isTun = command.includes('flannel0');
      const state = isTun ? await plan('udp', {}, []) : await plan('vxlan', {}, [vxlanPeer(2)]);
      const name = isTun ? 'flannel0' : 'flannel.1';
      ip(...command.split(' '));
      try {
        ip('link', 'set', name, 'up');
        const failures = await kernel.apply(diff(state, await kernel.read()));
        expect(failures[0]?.error.message).toContain(`${name} is a link of another program: type ${type}`);
        expect(new Set(failures.slice(1).map(({ error }) => error.errno))).toEqual(new Set(['ENODEV']));
        expect(failures).toHaveLength(state.length);
        await kernel.apply(diff([], await kernel.read()));
        await kernel.apply(state.map((object) => ({ op: 'delete', object })));
        expect(ip('-4', 'address', 'show', 'dev', name)).toBe('');
        expect(ip('link', 'show', 'dev', name)).toContain(name);
      } finally {
        ip('link', 'delete', name);
      }
    },
  );

  test('a foreign link’s neighbour is not reported, and its address as a change of the link', async () => {
    await using kernel = openNetlinkKernel();
    const stop = new AbortController();
    const seen: KernelEvent[] = [];
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal)) seen.push(event);
    })();
    await expect.poll(() => seen).toEqual([{ type: 'unknown' }]);
    ip('neigh', 'add', '192.168.77.5', 'lladdr', '02:00:00:00:00:05', 'nud', 'permanent', 'dev', 'eth0');
    ip('neigh', 'del', '192.168.77.5', 'dev', 'eth0');
    ip('address', 'add', '192.168.78.1/24', 'dev', 'eth0', 'noprefixroute');
    ip('address', 'del', '192.168.78.1/24', 'dev', 'eth0');
    const news = (): KernelEvent[] => seen.filter(({ type }) => type !== 'unknown');
    await expect.poll(() => news().length).toBeGreaterThan(1);
    expect(news().filter((event) => event.type === 'link' && event.name !== 'eth0')).toEqual([]);
    expect(news().filter((event) => event.type === 'gone' && event.key.startsWith('neigh'))).toEqual([]);
    stop.abort();
    await watching;
  });

  test('the kernel reports changes of a link that was made while its events were off', async () => {
    await using kernel = openNetlinkKernel();
    const stop = new AbortController();
    const seen: KernelEvent[] = [];
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal)) seen.push(event);
    })();
    await expect.poll(() => seen).toEqual([{ type: 'unknown' }]);
    const [link, ...rest] = await plan('vxlan', {}, [vxlanPeer(2)]);
    const holes = Array.from({ length: LIMITS.quietChanges }, (_, i): HostObject => {
      const dst = `10.6.${i >> 8}.${i & 255}/32`;
      return { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false };
    });
    const state = link === undefined ? [] : [link, ...rest, ...holes];
    expect(await kernel.apply(diff(state, await kernel.read()))).toEqual([]);
    await expect.poll(() => seen).toHaveLength(2);
    ip('neigh', 'del', '10.5.2.0', 'dev', 'flannel.1');
    await expect
      .poll(() => seen)
      .toContainEqual({ type: 'gone', key: 'neigh 10.5.2.0 flannel.1', line: undefined });
    stop.abort();
    await watching;
    await kernel.apply(diff([], await kernel.read()));
  });

  test('a TUN device that any user may open becomes root’s while it lives', async () => {
    await using kernel = openNetlinkKernel();
    const state = await plan('udp', {}, []);
    ip('tuntap', 'add', 'dev', 'flannel0', 'mode', 'tun', 'user', '1000');
    ip('link', 'set', 'flannel0', 'mtu', '1472', 'up');
    const index = (): string => ip('-o', 'link', 'show', 'flannel0').split(':')[0] ?? '';
    const before = index();
    const changes = diff(state, await kernel.read());
    expect(changes.map(({ op }) => op)).toEqual(['alter', 'add']);
    expect(await kernel.apply(changes)).toEqual([]);
    expect(ip('-d', 'link', 'show', 'flannel0')).toContain('persist on user root group root');
    expect(index()).toBe(before);
    expect(formatHostState(await kernel.read())).toBe(formatHostState(state));
    await kernel.apply(diff([], await kernel.read()));
  });
});
