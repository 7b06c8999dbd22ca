// Tests with a real socket. A listener in python3 stands for systemd, and prints sender and message.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createServiceNotifier, parseServiceManager } from '../../../agent/observe/sd-notify.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { type CapturedLog, captureLog } from '../../support/capture-log.ts';
import { needsProgram, title } from '../../support/needs.ts';

const LISTENER = `
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1].replace("@", "\\0"))
print("listening", flush=True)
while True:
    data, control, _, _ = s.recvmsg(4096, 1024)
    pid = struct.unpack("3i", control[0][2])[0]
    print(pid, data.decode().replace("\\n", "|"), flush=True)
`;

const need = needsProgram('python3');

describe.skipIf(need.missing)(title('the service notifier', need), () => {
  let folder = '';
  let clock: VirtualClock;
  let captured: CapturedLog;
  let end = (): void => undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-notify-'));
    clock = createVirtualClock();
    captured = captureLog('service');
  });
  afterEach(async () => {
    end();
    await rm(folder, { recursive: true });
  });

  /** Starts a listener. Gives a function that waits for its next line. */
  async function listen(socket: string): Promise<() => Promise<string>> {
    const child = spawn('python3', ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    end = () => void child.kill('SIGKILL');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (await lines.next()).value ?? 'the listener has ended';
    expect(await next()).toBe('listening');
    return next;
  }

  const open = (socket: string, watchdogMs?: number) =>
    createServiceNotifier({ manager: { socket, watchdogMs }, clock, log: captured.log });

  it.each(['a path', 'an abstract name'])(
    'the main process itself tells systemd that it is ready, at %s',
    async (kind) => {
      const socket = kind === 'a path' ? join(folder, 'notify') : `@twill-notify-${process.pid}`;
      const next = await listen(socket);
      await open(socket).ready('10.5.34.0/24 by vxlan,\n2 peers\u001b[2J');
      expect(await next()).toMatch(
        new RegExp(`^${process.pid} READY=1\\|STATUS=10\\.5\\.34\\.0/24 by vxlan, 2 peers[^\\u001b]*$`),
      );
      expect(captured.lines).toEqual([]);
    },
  );

  it('the watchdog is fed twice within its limit, with the state of the node', async () => {
    const socket = join(folder, 'notify');
    const next = await listen(socket);
    const notifier = open(socket, 30_000);
    const stop = new AbortController();
    let status: string | undefined;
    const run = notifier.run({ hangs: () => undefined, status: () => status }, stop.signal);
    expect(await next()).toBe(`${process.pid} WATCHDOG=1`);
    status = 'no configuration\nyet';
    await clock.advance(15_000);
    expect(await next()).toBe(`${process.pid} WATCHDOG=1|STATUS=no configuration yet`);
    stop.abort();
    await run;
    expect(clock.sleepers).toBe(0);
  });

  it('the watchdog is not fed while a call hangs, which is logged once', async () => {
    const socket = join(folder, 'notify');
    const next = await listen(socket);
    const notifier = open(socket, 30_000);
    const stop = new AbortController();
    let hangs: string | undefined;
    const run = notifier.run({ hangs: () => hangs, status: () => undefined }, stop.signal);
    expect(await next()).toBe(`${process.pid} WATCHDOG=1`);
    hangs = 'reading the kernel: not done after 61 s';
    await clock.advance(60_000);
    // A later message comes first: none was sent meanwhile.
    await notifier.ready('up');
    expect(await next()).toBe(`${process.pid} READY=1|STATUS=up`);
    expect(captured.lines).toEqual([
      'error service: the service manager will restart this agent hangs="reading the kernel: not done after 61 s"',
    ]);
    hangs = undefined;
    await clock.advance(15_000);
    expect(await next()).toBe(`${process.pid} WATCHDOG=1`);
    stop.abort();
    await run;
  });

  it('a service manager that is gone is logged once, and the agent goes on', async () => {
    const notifier = open(join(folder, 'nobody'), 10_000);
    const stop = new AbortController();
    const run = notifier.run({ hangs: () => undefined, status: () => undefined }, stop.signal);
    await notifier.ready('up');
    await clock.advance(60_000);
    stop.abort();
    await run;
    expect(captured.lines).toHaveLength(1);
    expect(captured.lines[0]).toMatch(
      /^warn {2}service: cannot notify the service manager error=".*ENOENT"$/,
    );
  });
});

describe('the environment of a service manager', () => {
  const socket = '/run/systemd/notify';
  const parse = (environment: Readonly<Record<string, string>>) => parseServiceManager(environment, 42);

  it('no socket is no service manager, and the notifier does nothing', async () => {
    expect(parse({ WATCHDOG_USEC: '1000' })).toBeUndefined();
    expect(parse({ NOTIFY_SOCKET: '' })).toBeUndefined();
    const { log, lines } = captureLog('service');
    const notifier = createServiceNotifier({ manager: undefined, clock: createVirtualClock(), log });
    await notifier.ready('up');
    await notifier.run({ hangs: () => undefined, status: () => undefined }, new AbortController().signal);
    expect(lines).toEqual([]);
  });

  it.each([
    [{}, undefined],
    [{ WATCHDOG_USEC: '30000000' }, 30_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '42' }, 30_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '41' }, undefined],
    [{ WATCHDOG_USEC: '0' }, undefined],
    [{ WATCHDOG_USEC: '-5' }, undefined],
    [{ WATCHDOG_USEC: 'soon' }, undefined],
  ])('%j has a watchdog of %s ms', (variables, watchdogMs) => {
    expect(parse({ NOTIFY_SOCKET: socket, ...variables })).toEqual({ socket, watchdogMs });
  });
});
