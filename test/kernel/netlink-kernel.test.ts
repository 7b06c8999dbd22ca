// The real kernel, in the private network namespace that the test runner starts this folder in.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import { diff } from '../../agent/kernel/diff.ts';
import { LIMITS } from '../../agent/kernel/limits.ts';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { formatHostState, type HostObject, type HostState } from '../../agent/model/host-state.ts';
import type { KernelEvent } from '../../agent/model/kernel.ts';
import { plan, vxlanPeer } from '../support/golden-states.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { kernelSuite } from './kernel-suite.ts';

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('the kernel of Linux', NEEDS_PRIVATE_NETNS), () => {
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
  beforeAll(() => {
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    ip('link', 'set', 'other', 'up');
    ip('address', 'add', '192.168.77.1/24', 'dev', 'eth0');
    ip('link', 'set', 'eth0', 'up');
    return () => ip('link', 'delete', 'eth0');
  });
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
    expect(news().filter((event) => event.type === 'object' && event.key.startsWith('neigh'))).toEqual([]);
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
      .toContainEqual({ type: 'object', key: 'neigh 10.5.2.0 flannel.1', line: undefined });
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

  describe('a vxlan device that cannot be made', () => {
    const refusals = async (): Promise<string[]> => {
      await using kernel = openNetlinkKernel();
      const [link] = await plan('vxlan', {}, []);
      if (link === undefined) throw new Error('no link');
      return (await kernel.apply([{ op: 'add', object: link }])).map(
        ({ error }) => `${error.errno}: ${error.message}`,
      );
    };

    test('the refusal names the other device with our VNI and port', async () => {
      ip('link', 'add', 'vx9', 'type', 'vxlan', 'id', '9', 'dstport', '8472', 'nolearning');
      ip('link', 'add', 'vx1', 'type', 'vxlan', 'id', '1', 'dstport', '8472', 'nolearning');
      try {
        expect(await refusals()).toEqual([
          'EEXIST: cannot add link flannel.1: vxlan device vx1 has VNI 1 and port 8472 too; delete it, or configure another VNI',
        ]);
      } finally {
        ip('link', 'del', 'vx1');
        ip('link', 'del', 'vx9');
      }
    });

    test('the refusal names the device of another mode that has our port', async () => {
      ip('link', 'add', 'vx2', 'type', 'vxlan', 'external', 'dstport', '8472');
      ip('link', 'set', 'vx2', 'up');
      try {
        expect(await refusals()).toEqual([
          'EADDRINUSE: cannot add link flannel.1: vxlan device vx2 has UDP port 8472 too; delete it, or configure another Port',
        ]);
      } finally {
        ip('link', 'del', 'vx2');
      }
    });

    test('the refusal names the UDP port that another program has', async () => {
      const socket = createSocket('udp4').bind(8472);
      await once(socket, 'listening');
      try {
        expect(await refusals()).toEqual([
          'EADDRINUSE: cannot add link flannel.1: another program has UDP port 8472 (see "ss -lunp"); stop it, or configure another Port',
        ]);
      } finally {
        socket.close();
      }
    });

    test('the refusal of our name is the kernel’s', async () => {
      ip('link', 'add', 'flannel.1', 'type', 'bridge');
      try {
        expect(await refusals()).toEqual([
          expect.stringMatching(/^EEXIST: cannot add link vxlan flannel\.1 .*: file already exists/),
        ]);
      } finally {
        ip('link', 'del', 'flannel.1');
      }
    });
  });
});
