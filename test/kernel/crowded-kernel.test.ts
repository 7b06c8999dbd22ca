// The cost of a host that is full of links, addresses, neighbours and routes of others: nothing of theirs is parsed.
import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { diff } from '../../agent/kernel/diff.ts';
import { createHostSource } from '../../agent/kernel/host-facts.ts';
import { RawNetlinkSocket } from '../../agent/kernel/netlink/library.ts';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { formatHostState, type HostState } from '../../agent/model/host-state.ts';
import type { Kernel, KernelEvent } from '../../agent/model/kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../support/golden-states.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';

const LINKS = 300;
const ROUTES = 5_000;
/** Each attempt runs commands. */
const SLOW = { timeout: 10_000 };

const parsed = vi.hoisted(() => ({ messages: 0 }));
vi.mock(import('../../agent/kernel/netlink/library.ts'), async (original) => {
  const library = await original();
  const parseMessage: typeof library.rt.parseMessage = (type, data) => {
    parsed.messages++;
    return library.rt.parseMessage(type, data);
  };
  return { ...library, rt: { ...library.rt, parseMessage } };
});

/** Counts the bytes that all sockets receive from the kernel. */
let received = 0;
const { _receive: receive } = RawNetlinkSocket.prototype as unknown as { _receive: Receive };
type Receive = (this: RawNetlinkSocket, message: Buffer, from: unknown) => void;
Object.assign(RawNetlinkSocket.prototype, {
  _receive(this: RawNetlinkSocket, message: Buffer, from: unknown) {
    received += message.length;
    receive.call(this, message, from);
  },
});

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('a crowded host', NEEDS_PRIVATE_NETNS), () => {
  const batch = (...lines: readonly string[]): void => {
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
  };
  const each = (count: number, line: (i: number) => readonly string[]): readonly string[] =>
    Array.from({ length: count }, (_, i) => line(i)).flat();

  beforeAll(() => {
    batch(
      'link add eth0 type veth peer name other',
      'link set other up',
      'address add 192.168.77.1/24 dev eth0',
      'link set eth0 up',
      ...each(LINKS, (i) => [
        `link add c${i} type veth peer name p${i}`,
        `address add 10.200.${i >> 8}.${i & 255}/32 dev c${i}`,
        `link set c${i} up`,
        `neigh add 10.201.${i >> 8}.${i & 255} lladdr 02:00:00:00:00:05 nud permanent dev c${i}`,
      ]),
      'link add vxlan9 type vxlan id 9 dstport 4790 dev eth0',
      ...each(ROUTES, (i) => [`route add blackhole 10.202.${i >> 8}.${i & 255}/32`]),
    );
    return () => {
      batch('link delete eth0', ...each(LINKS, (i) => [`link delete c${i}`]));
      execFileSync('ip', ['route', 'flush', 'type', 'blackhole']);
    };
  });

  /** The messages that are parsed and the bytes that are received during the work. */
  const costOf = async (work: () => Promise<unknown>): Promise<{ messages: number; bytes: number }> => {
    const before = { messages: parsed.messages, received };
    await work();
    return { messages: parsed.messages - before.messages, bytes: received - before.received };
  };

  const watchKernel = (kernel: Kernel): { readonly seen: KernelEvent[]; stop(): Promise<void> } => {
    const ended = new AbortController();
    const seen: KernelEvent[] = [];
    const watching = (async () => {
      for await (const event of kernel.watch(ended.signal)) seen.push(event);
    })();
    return {
      seen,
      stop() {
        ended.abort();
        return watching;
      },
    };
  };

  it.each([
    ['vxlan', vxlanPeer(2)],
    ['host-gw', hostGwPeer(2)],
  ] as const)('the kernel reads our objects of %s and no others', async (backend, peer) => {
    await using kernel = openNetlinkKernel();
    const state = await plan(backend, {}, [peer]);
    expect(await kernel.apply(diff(state, await kernel.read()))).toEqual([]);
    let read: HostState = [];
    const cost = await costOf(async () => {
      read = await kernel.read();
    });
    expect(formatHostState(read)).toBe(formatHostState(state));
    expect(cost.messages).toBeLessThan(30);
    expect(cost.bytes).toBeLessThan(30_000);
    expect(await kernel.apply(diff([], read))).toEqual([]);
  });

  it('links that come and go beside ours make no change of ours dearer, and nothing is parsed', async () => {
    await using kernel = openNetlinkKernel();
    const watch = watchKernel(kernel);
    await expect.poll(() => watch.seen).toEqual([{ type: 'unknown' }]);
    const state = await plan('vxlan', {}, [vxlanPeer(2)]);
    await kernel.apply(diff(state, await kernel.read()));
    await kernel.read();
    const events = await costOf(async () => {
      batch(
        ...each(20, (i) => [
          `link add d${i} type veth peer name q${i}`,
          `address add 10.203.0.${i}/32 dev d${i}`,
          `link set d${i} up`,
          `neigh add 10.201.255.1 lladdr 02:00:00:00:00:05 nud permanent dev d${i}`,
        ]),
      );
      batch(...each(20, (i) => [`link delete d${i}`]));
      await setTimeout(200);
    });
    expect(events.messages).toBe(0);
    const more = await plan('vxlan', {}, [vxlanPeer(2), vxlanPeer(3)]);
    const change = await costOf(() => kernel.apply(diff(more, state)));
    expect(change.bytes).toBeLessThan(5_000);
    batch('route delete 10.5.2.0/24');
    await expect
      .poll(() => watch.seen)
      .toContainEqual(expect.objectContaining({ type: 'gone', key: 'route 10.5.2.0/24' }));
    await kernel.apply(diff([], await kernel.read()));
    await watch.stop();
  });

  it('the underlay is read alone where the operator names it, and routes of others do not wake its watch', async () => {
    batch('address add 192.168.77.2/24 dev eth0', 'route add default via 192.168.77.9 dev eth0');
    const source = createHostSource({
      iface: ['eth0'],
      ifaceRegex: [],
      ifaceCanReach: undefined,
      publicIP: undefined,
      // A virtual address stands beside it.
      lastAddress: '192.168.77.2',
    });
    const first = await costOf(() => source.read());
    expect(first.bytes).toBeLessThan(20_000);
    const facts = await source.read();
    expect(facts.ends.ipv4?.address).toBe('192.168.77.2');
    expect((await costOf(() => source.read(facts))).bytes).toBeLessThan(20_000);
    const ended = new AbortController();
    let rings = 0;
    const watching = source.watch(() => rings++, ended.signal);
    // The filter is attached once the socket's descriptor is found.
    await expect
      .poll(async () => {
        const { bytes } = await costOf(async () => {
          batch(
            'route add blackhole 10.203.3.0/24',
            'route add 10.203.4.0/24 dev c1',
            'route del 10.203.4.0/24',
          );
          batch('route add 10.203.5.0/24 proto 84 dev eth0', 'route del 10.203.5.0/24 proto 84');
          batch('route del blackhole 10.203.3.0/24');
          await setTimeout(100);
        });
        return bytes;
      }, SLOW)
      .toBe(0);
    for (const command of [
      'route delete default',
      'route add default dev c1 metric 7',
      'route delete default dev c1 metric 7',
      'route add 10.203.4.0/24 dev eth0 table 100',
      'route delete 192.168.77.0/24 dev eth0',
      'route add 192.168.77.0/24 dev eth0 proto kernel scope link src 192.168.77.1',
      'address delete 192.168.77.2/24 dev eth0',
    ]) {
      rings = 0;
      batch(command);
      await expect.poll(() => rings, { message: command }).toBeGreaterThan(0);
    }
    ended.abort();
    await watching;
    batch('route flush table 100');
  });

  it.each([
    ['vxlan', vxlanPeer(2)],
    ['host-gw', hostGwPeer(2)],
  ] as const)(
    'events of links of others do not wake the process, those of ours of %s do',
    async (backend, peer) => {
      await using kernel = openNetlinkKernel();
      const state = await plan(backend, {}, [peer]);
      await kernel.apply(diff(state, await kernel.read()));
      const watch = watchKernel(kernel);
      await expect.poll(() => watch.seen).toEqual([{ type: 'unknown' }]);
      // As after a restart: all objects are there already.
      await kernel.read();
      const churn = (): void => {
        batch(
          ...each(20, (i) => [
            `link add d${i} type veth peer name q${i}`,
            `link set d${i} up`,
            `route add 10.203.2.${i}/32 dev d${i}`,
            `route add blackhole 10.203.3.${i}/32`,
          ]),
        );
        batch(...each(20, (i) => [`link delete d${i}`, `route delete blackhole 10.203.3.${i}/32`]));
      };
      // The filter is attached once the socket's descriptor is found.
      await expect
        .poll(async () => {
          const { bytes } = await costOf(async () => {
            churn();
            await setTimeout(100);
          });
          return bytes;
        }, SLOW)
        .toBe(0);
      const news = (command: string): Promise<void> => {
        watch.seen.length = 0;
        batch(command);
        return expect.poll(() => watch.seen).not.toEqual([]);
      };
      // A route that another program makes may take the place of ours, and its end may give it back.
      await news('route add blackhole 10.5.77.0/24 metric 5');
      await news('route delete blackhole 10.5.77.0/24 metric 5');
      await news('route delete 10.5.2.0/24');
      await news('link set eth0 mtu 1480');
      await news('address add 192.168.79.1/24 dev eth0');
      await news('link set eth0 down');
      await news('link delete eth0');
      batch('link add eth0 type veth peer name other');
      await expect.poll(() => watch.seen).toContainEqual({ type: 'link', name: 'eth0' });
      batch('address add 192.168.77.1/24 dev eth0', 'link set other up', 'link set eth0 up');
      await kernel.apply(diff(state, await kernel.read()));
      if (backend === 'vxlan') {
        await news('neigh delete 10.5.2.0 dev flannel.1');
        await news('link delete flannel.1');
      }
      await kernel.apply(diff([], await kernel.read()));
      await watch.stop();
    },
  );
});
