// What a running agent's process makes of signals, of a lack of file descriptors, and of the programs that it runs.
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { openFolder } from '../lab/datastore.ts';
import { OVERLAY, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, needsProgram, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

const IGNORED = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
] as const;
/** Long enough for each loop of the agent to try its repairs more than once. */
const WITHOUT_MS = 4_000;
const HEAL_MS = 20_000;

const need = allOf(NEEDS_CLUSTER, needsProgram('prlimit'));

describe.each(['vxlan', 'udp'])('%s', (backend) => {
  describe.skipIf(need.missing)(title(`an agent with ${backend}`, need), () => {
    const cluster = useCluster({ hosts: 2, backend: { Type: backend }, flags: ['--ip-masq'] });

    it('no signal but SIGINT and SIGTERM ends the agent, and the log names each', async () => {
      const agent = cluster().agent(1);
      for (const signal of IGNORED) {
        process.kill(agent.pid, signal);
        await agent.waitForLine(new RegExp(`info {2}twill: ${signal} is ignored$`));
      }
      process.kill(agent.pid, 'SIGPIPE');
      await agent.waitReady();
      expect(await agent.log()).not.toContain('Debugger listening');
    });

    it('an agent without free file descriptors stays alive, and is right again when it gets some', async () => {
      const { namespace } = cluster().lab.host(1);
      const agent = cluster().agent(1);
      const device = backend === 'udp' ? 'flannel0' : 'flannel.1';
      const limit = (soft: string) => run(['prlimit', '--pid', String(agent.pid), `--nofile=${soft}:`]);
      const before = /^Max open files\s+(\d+)/m.exec(
        await readFile(`/proc/${agent.pid}/limits`, 'utf8'),
      )?.[1];
      await limit('1');
      try {
        await namespace.run(['iptables', '-w', '-t', 'nat', '-F', 'POSTROUTING']);
        await namespace.run(['rm', '/run/flannel/subnet.env']);
        await namespace.run(['ip', 'link', 'delete', device]);
        await cluster().etcd.members[0]?.stop();
        await cluster().etcd.members[0]?.start();
        await cluster().agent(2).stop();
        await cluster().startAgent(2);
        await systemClock.sleep(WITHOUT_MS);
        expect(agent.process.isRunning, await agent.process.log()).toBe(true);
      } finally {
        await limit(before ?? '1024');
      }
      const [from, to] = cluster().pairs()[0] ?? [];
      await waitFor('packets flow again', HEAL_MS, async () => {
        return (
          from !== undefined && to !== undefined && (await ping(from.namespace, to.address)).received > 0
        );
      });
      await waitFor('the rules are back', HEAL_MS, async () => {
        return (await namespace.run(['iptables', '-w', '-t', 'nat', '-S', 'POSTROUTING'])).includes(
          'FLANNEL',
        );
      });
      await agent.waitReady(HEAL_MS);
      expect(agent.process.isRunning).toBe(true);
    });
  });
});

/** Says what a program is given, and then is the real one. */
const spyScript = (folder: string, program: string): string => `#!/bin/sh
tr '\\0' '\\n' </proc/$$/environ >>${folder}/environ
tr '\\0' ' ' </proc/$$/cmdline >>${folder}/cmdline
ls /proc/$$/fd >>${folder}/fd
readlink /proc/$$/cwd >>${folder}/cwd
exec ${program} "$@"
`;

describe.skipIf(NEEDS_CLUSTER.missing)(title('the programs of an agent', NEEDS_CLUSTER), () => {
  it('they get no secret, no descriptor and no folder of the agent, and are found in its PATH', async () => {
    await using lab = await openLab({ hosts: 1 });
    const store = openFolder(lab);
    await store.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
    const [seen, programs] = [join(lab.folder, 'seen'), join(lab.folder, 'programs')];
    await mkdir(seen);
    await mkdir(programs);
    for (const name of ['iptables', 'iptables-restore']) {
      const path = join(programs, name);
      await writeFile(path, spyScript(seen, `/usr/sbin/${name}`));
      await chmod(path, 0o755);
    }
    const flags = [...store.flags, '--iface=eth0', '--ip-masq', `--healthz-port=${HEALTHZ_PORT}`];
    const agent = lab
      .host(1)
      .startAgent(flags, { PATH: `.:${programs}:${process.env['PATH']}`, SECRET: 'hush' });
    await agent.waitReady();
    const read = async (name: string): Promise<string[]> => {
      return [...new Set((await readFile(join(seen, name), 'utf8')).trim().split('\n'))].sort();
    };
    expect(await read('environ')).toEqual([
      'LC_ALL=C',
      expect.stringMatching(new RegExp(`^PATH=${programs}:/`)),
    ]);
    expect(await read('cwd')).toEqual(['/']);
    // The shell opens its script and keeps its output. The agent's programs are given what the whole test was given.
    const given = await readdir(`/proc/${lab.host(1).holder}/fd`);
    for (const fd of await read('fd')) expect([...given, '10', '11']).toContain(fd);
    expect((await read('cmdline')).join()).not.toContain('hush');
    await agent.stop();
  });
});
