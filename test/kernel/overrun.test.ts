// More unread events than a socket's buffer holds: the process survives, and learns that it missed some.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';

const ROUTES = 60_000;

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('a flood of events', NEEDS_PRIVATE_NETNS), () => {
  it('a flood of events ends no watch, and is reported as unknown changes', { timeout: 60_000 }, async () => {
    await using kernel = openNetlinkKernel();
    const stop = new AbortController();
    const seen = { events: 0, unknown: 0 };
    const watching = (async () => {
      for await (const event of kernel.watch(stop.signal)) {
        seen.events++;
        if (event.type === 'unknown') seen.unknown++;
      }
    })();
    await expect.poll(() => seen.unknown).toBe(1);
    // The guard against an overrun is set up asynchronously.
    await expect.poll(() => execFileSync('ss', ['-f', 'netlink', '-m']).toString()).toMatch(/rb1\d{7}/);
    const lines = Array.from(
      { length: ROUTES },
      (_, i) => `route add blackhole 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`,
    );
    const input = (verb: string): string => lines.map((line) => line.replace('add', verb)).join('\n');
    // Both calls block the event loop, so that no event is read between them.
    execFileSync('ip', ['-batch', '-'], { input: input('add') });
    execFileSync('ip', ['-batch', '-'], { input: input('del') });
    await expect.poll(() => seen.unknown).toBeGreaterThan(1);
    await expect.poll(() => seen.events).toBeGreaterThan(100);
    stop.abort();
    await watching;
  });
});
