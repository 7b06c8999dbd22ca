// The suite of every kernel: the real one and the one in memory.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diff } from '../../agent/kernel/diff.ts';
import { formatHostState, formatObject, type HostState, keyOf } from '../../agent/model/host-state.ts';
import type { Kernel } from '../../agent/model/kernel.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { goldenStates, hostGwPeer, peer, plan, vxlanPeer } from '../support/golden-states.ts';

const STEPS = 120;

const formatLines = (lines: readonly (string | undefined)[]): string =>
  lines
    .filter((line) => line !== undefined)
    .sort()
    .join('\n');

/** Applies the suite to kernels with an underlay link eth0, up, 192.168.77.1/24; each test starts from nothing. */
export function kernelSuite(open: () => Kernel): void {
  let kernel: Kernel;
  beforeEach(async () => {
    kernel = open();
    await become([]);
  });
  afterEach(async () => {
    await become([]);
    await kernel[Symbol.asyncDispose]();
  });

  const become = async (desired: HostState): Promise<void> => {
    expect(await kernel.apply(diff(desired, await kernel.read()))).toEqual([]);
  };

  test('the kernel gives back each golden state exactly', async () => {
    for (const [name, state] of await goldenStates()) {
      await become(state);
      expect(formatHostState(await kernel.read()), name).toBe(formatHostState(state));
    }
  });

  test('the kernel goes from any golden state to any other, in random order', {
    timeout: 60_000,
  }, async () => {
    const seed = Number(process.env['TWILL_SEED'] ?? Date.now() % 1_000_000);
    const random = seededRandom(seed);
    const states = [...(await goldenStates())];
    let before = 'nothing';
    for (let step = 0; step < STEPS; step++) {
      const [name, state] = states[Math.floor(random() * states.length)] ?? ['', []];
      await become(state);
      const walk = `step ${step} from "${before}" to "${name}" (repeat with TWILL_SEED=${seed})`;
      expect(formatHostState(await kernel.read()), walk).toBe(formatHostState(state));
      before = name;
    }
  });

  test('the kernel counts a deletion as done when the object is gone already', async () => {
    const state = await plan('vxlan', {}, [vxlanPeer(2)]);
    await become(state);
    const deletes = diff([], state);
    await become([]);
    expect(await kernel.apply(state.map((object) => ({ op: 'delete', object })))).toEqual([]);
    expect(await kernel.apply(deletes)).toEqual([]);
  });

  test('the kernel refuses a gateway that no link reaches, and applies the rest', async () => {
    const state = await plan('host-gw', {}, [hostGwPeer(2), hostGwPeer(3, '192.168.99.3'), hostGwPeer(4)]);
    const failures = await kernel.apply(diff(state, []));
    expect(failures.map(({ change, error }) => [change.object, error.errno, error.message])).toEqual([
      [
        state[1],
        'ENETUNREACH',
        'cannot add route 10.5.3.0/24 via 192.168.99.3 dev eth0: network is unreachable (ENETUNREACH)',
      ],
    ]);
    expect(await kernel.read()).toHaveLength(2);
  });

  test('a route that is refused in the place of another one leaves neither', async () => {
    const state = await plan('host-gw', {}, [hostGwPeer(2)]);
    await become(state);
    const moved = await plan('host-gw', {}, [hostGwPeer(2, '192.168.99.2')]);
    const failures = await kernel.apply(diff(moved, state));
    expect(failures.map(({ error }) => error.errno)).toEqual(['ENETUNREACH']);
    expect(await kernel.read()).toEqual([]);
  });

  test('a route is replaced by another one without a moment in which there is none', async () => {
    const stop = new AbortController();
    const keys: string[] = [];
    const state = await plan('host-gw', {}, [hostGwPeer(2)]);
    await become(state);
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal)) {
        if (event.type === 'written') keys.push(`+ ${formatObject(event.object)}`);
        if (event.type === 'gone') keys.push(`- ${event.line}`);
      }
    })();
    // The watcher opens asynchronously.
    await expect
      .poll(async () => {
        await kernel.apply(diff(await plan('host-gw', {}, [hostGwPeer(2), hostGwPeer(9)]), state));
        await kernel.apply([
          { op: 'delete', object: (await plan('host-gw', {}, [hostGwPeer(9)]))[0] ?? state[0]! },
        ]);
        return keys.length;
      })
      .toBeGreaterThan(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    keys.length = 0;
    await kernel.apply(diff(await plan('host-gw', {}, [hostGwPeer(2, '192.168.77.22')]), state));
    await expect.poll(() => keys.length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(keys[0]).toBe('+ route 10.5.2.0/24 via 192.168.77.22 dev eth0');
    expect(keys.slice(1).filter((line) => line !== '- route 10.5.2.0/24 via 192.168.77.2 dev eth0')).toEqual(
      [],
    );
    stop.abort();
    await watching;
  });

  test('the kernel counts a route that stands already as added', async () => {
    const state = await plan('host-gw', {}, [hostGwPeer(2)]);
    expect(await kernel.apply(diff(state, []))).toEqual([]);
    expect(await kernel.apply(diff(state, []))).toEqual([]);
    // Another route of ours, of which the caller did not know.
    const moved = await plan('host-gw', {}, [hostGwPeer(2, '192.168.77.22')]);
    expect(await kernel.apply(diff(moved, []))).toEqual([]);
    expect(formatHostState(await kernel.read())).toBe(formatHostState(moved));
  });

  test('the kernel refuses entries on a link that does not exist', async () => {
    const state = (await plan('vxlan', {}, [vxlanPeer(2)])).filter(({ kind }) => kind !== 'link');
    const failures = await kernel.apply(diff(state, []));
    expect(failures.map(({ error }) => error.errno)).toEqual(['ENODEV', 'ENODEV', 'ENODEV', 'ENODEV']);
  });

  test('the kernel refuses a second device with the same VNI and port', async () => {
    await become(await plan('vxlan', {}, []));
    const [link] = await plan('vxlan', {}, []);
    if (link?.kind !== 'link') throw new Error('no link');
    const failures = await kernel.apply([{ op: 'add', object: { ...link, name: 'flannel.2' } }]);
    expect(failures.map(({ error }) => error.errno)).toEqual(['EEXIST']);
  });

  test('the kernel reports each object that comes or goes, as the text that it reads back', async () => {
    const stop = new AbortController();
    const seen = new Map<string, string | undefined>();
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal))
        if (event.type === 'written') seen.set(keyOf(event.object), formatObject(event.object));
        else if (event.type === 'gone' && (event.line ?? seen.get(event.key)) === seen.get(event.key))
          seen.set(event.key, undefined);
    })();
    const state = await plan('vxlan', {}, [vxlanPeer(2), vxlanPeer(3)]);
    // The watcher opens asynchronously: objects are made and deleted until it has seen some.
    await expect
      .poll(async () => {
        await become(await plan('vxlan', { VNI: 9 }, []));
        await become([]);
        return seen.size;
      })
      .toBeGreaterThan(0);
    const lines = (): string => formatLines([...seen.values()]);
    await expect.poll(lines).toBe('');
    await become(state);
    await expect.poll(lines).toBe(formatLines(formatHostState(state).trimEnd().split('\n')));
    await kernel.apply(
      state.filter(({ kind }) => kind === 'route').map((object) => ({ op: 'delete', object })),
    );
    await expect.poll(() => lines().includes('route')).toBe(false);
    stop.abort();
    await watching;
  });

  test('the kernel holds 5,000 peers', { timeout: 60_000 }, async () => {
    const peers = Array.from({ length: 5_000 }, (_, i) => {
      const [high, low] = [Math.floor(i / 250), i % 250];
      const hex = (n: number): string => n.toString(16).padStart(2, '0');
      const data = { VNI: 1, VtepMAC: `02:00:00:01:${hex(high)}:${hex(low)}` };
      // Subnets of 8 addresses, so that so many of them fit behind our own.
      const subnet = `10.5.${2 + (i >> 5)}.${(i & 31) * 8}/29`;
      return peer(subnet, `192.168.${100 + high}.${1 + low}`, 'vxlan', data);
    });
    const state = await plan('vxlan', {}, peers);
    await become(state);
    expect(await kernel.read()).toHaveLength(15_002);
    await become([]);
    expect(await kernel.read()).toEqual([]);
  });
}
