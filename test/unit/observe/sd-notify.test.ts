// Tests with the real systemd-notify. A listener in python3 replaces systemd and prints sender and message.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { type Exec, exec } from '../../../agent/base/exec.ts';
import { createServiceNotifier } from '../../../agent/observe/sd-notify.ts';
import { captureLog } from '../../support/capture-log.ts';
import { allOf, NEEDS_ROOT, needsProgram, title } from '../../support/needs.ts';

const LISTENER = `
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    data, control, _, _ = s.recvmsg(4096, 1024)
    pid = 0
    for level, kind, value in control:
        if kind == socket.SCM_CREDENTIALS:
            pid = struct.unpack("3i", value)[0]
        elif kind == socket.SCM_RIGHTS:
            for fd in struct.unpack("%di" % (len(value) // 4), value):
                os.close(fd)
    if not data.startswith(b"BARRIER"):
        print(pid, data.decode().replace("\\n", "|"), flush=True)
`;

const need = allOf(NEEDS_ROOT, needsProgram('systemd-notify'), needsProgram('python3'));

describe.skipIf(need.missing)(title('the service notifier', need), () => {
  it('the service notifier notifies systemd in the name of the agent', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twill-notify-'));
    const socket = join(folder, 'notify');
    const listener = spawn('python3', ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
      expect(await lines.next()).toMatchObject({ value: 'listening' });
      const { log, lines: logged } = captureLog('service');
      const notifier = createServiceNotifier({ socket, exec, log });
      await notifier.ready('10.5.34.0/24 by vxlan,\n2 peers');
      expect((await lines.next()).value).toBe(`${process.pid} READY=1|STATUS=10.5.34.0/24 by vxlan, 2 peers`);
      expect(logged).toEqual([]);
    } finally {
      if (listener.exitCode === null) {
        listener.kill('SIGKILL');
        await once(listener, 'exit');
      }
      await rm(folder, { recursive: true });
    }
  });
});

describe('the service notifier without systemd', () => {
  it('the service notifier runs no program without NOTIFY_SOCKET', async () => {
    const { log, lines } = captureLog('service');
    const refuse: Exec = () => Promise.reject(new Error('was run'));
    const notifier = createServiceNotifier({ socket: undefined, exec: refuse, log });
    await notifier.ready('up');
    expect(lines).toEqual([]);
  });

  it('the service notifier logs a failure and goes on', async () => {
    const { log, lines } = captureLog('service');
    const fail: Exec = () => Promise.resolve({ exitCode: 1, stdout: '', stderr: 'Failed to notify\n' });
    await createServiceNotifier({ socket: '/nowhere', exec: fail, log }).ready('up');
    const missingProgram: Exec = () => Promise.reject(new Error('cannot run systemd-notify'));
    await createServiceNotifier({ socket: '/nowhere', exec: missingProgram, log }).ready('up');
    expect(lines).toEqual([
      'warn  service: cannot notify the service manager error="Failed to notify"',
      'warn  service: cannot notify the service manager error="cannot run systemd-notify"',
    ]);
  });
});
