// A node on a host that is full of rules of others, as kube-proxy makes them: more text than a program may print.
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { openFolder } from '../lab/datastore.ts';
import { OVERLAY, openLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, needsProgram, title } from '../support/needs.ts';

const RULES = 100_000;
const SERVICES = 10_000;
const COMMENT = 'x'.repeat(240);
/** iptables-save prints 34 MiB of this. The agent takes 32 MiB from a program. */
const OTHERS = [
  '*nat',
  ...Array.from({ length: SERVICES }, (_, i) => `:SERVICE-${i} - [0:0]`),
  ...Array.from(
    { length: RULES },
    (_, i) =>
      `-A SERVICE-${i % SERVICES} -s 10.${200 + (i >> 16)}.${(i >> 8) & 255}.${i & 255} -m comment --comment "${COMMENT}" -j ACCEPT`,
  ),
  'COMMIT',
  '',
].join('\n');
const READY_MS = 20_000;
const HEAL_MS = 15_000;

for (const program of ['iptables-nft', 'iptables-legacy']) {
  const need = allOf(NEEDS_CLUSTER, needsProgram(program));
  it.skipIf(need.missing)(
    title(`a node beside 100,000 rules of ${program} becomes ready, and repairs its own rules`, need),
    async () => {
      await using lab = await openLab({ hosts: 1 });
      const store = openFolder(lab);
      await store.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
      const host = lab.host(1);
      await host.namespace.run([`${program}-restore`], { input: OTHERS, timeoutMs: 60_000 });
      const folder = join(lab.folder, 'programs');
      await mkdir(folder);
      for (const end of ['', '-save', '-restore']) {
        await symlink(`/usr/sbin/${program}${end}`, join(folder, `iptables${end}`));
      }
      const flags = [...store.flags, '--iface=eth0', '--ip-masq', `--healthz-port=${HEALTHZ_PORT}`];
      const agent = host.startAgent(flags, { PATH: `${folder}:${process.env['PATH']}` });
      await agent.waitReady(READY_MS);
      for (const [table, chain, own] of [
        ['nat', 'POSTROUTING', 'FLANNEL-POSTRTG'],
        ['filter', 'FORWARD', 'FLANNEL-FWD'],
      ] as const) {
        const first = (): Promise<string> =>
          host.namespace.run([program, '-w', '5', '-t', table, '-S', chain, '1']);
        expect(await first()).toContain(`-j ${own}`);
        await host.namespace.run([program, '-w', '5', '-t', table, '-D', chain, '1']);
        const isBack = async (): Promise<boolean> => (await first()).includes(`-j ${own}`);
        await waitFor(`the jump of ${chain} is back`, HEAL_MS, isBack, 500);
      }
      expect(await agent.log()).not.toMatch(/^\S+ (warn|error) .*(cannot|not answer)/m);
      await agent.stop();
    },
  );
}
