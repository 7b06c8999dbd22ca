// The demo on Kubernetes: two whole nodes from nothing to pods that talk, and nothing is left behind.
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { cgroupsOf } from '../lab/cgroups.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { title } from '../support/needs.ts';
import { NEEDS_WHOLE_NODES } from './whole-nodes-need.ts';

const SCRIPT = join(PROJECT_ROOT, 'scripts/demo.mjs');
const LIMIT_MS = 120_000;

/** Namespaces, folders and cgroups of demos. */
async function traces(): Promise<readonly string[]> {
  const names = [...(await readdir('/run/netns')), ...(await readdir(tmpdir())), ...(await cgroupsOf('tw-'))];
  return names.filter((name) => /tw-\d+-demo-/.test(name));
}

describe.skipIf(NEEDS_WHOLE_NODES.missing)(title('the demo on Kubernetes', NEEDS_WHOLE_NODES), () => {
  it(
    'shows each annotation and route as it appears, pods that talk, and removes them',
    async () => {
      const before = await traces();
      const { exitCode, stdout, stderr } = await exec(process.execPath, [SCRIPT, '--kubernetes'], {
        timeoutMs: LIMIT_MS,
        env: process.env,
      });
      expect(stderr).toBe('');
      expect(exitCode, stdout).toBe(0);
      expect(stdout).toContain('2 nodes of Kubernetes, backend vxlan\n');
      for (const node of ['h1', 'h2'])
        for (const fact of [
          'podCIDR 10.',
          'backend-type: vxlan',
          'public-ip: 192.168.77.',
          'route 10.',
          'Ready',
        ])
          expect(stdout).toContain(`${node}  ${fact}`);
      expect(stdout).toContain('12 of 12 pairs answer');
      expect(stdout).toMatch(/ lost 0 packets +\d+\.\d\d s\n/);
      expect(stdout).toMatch(/Every pod reaches every other one\. \d+\.\d\d s in total\.\n\n$/);
      expect(await traces()).toEqual(before);
    },
    LIMIT_MS,
  );

  it(
    'is removed by Ctrl-C',
    async () => {
      const before = await traces();
      const log = join(tmpdir(), `twill-kubernetes-demo-${process.pid}.log`);
      const running = new LabProcess([process.execPath, SCRIPT, '--kubernetes'], log);
      await running.waitForLine(/ DaemonSet /, LIMIT_MS);
      expect(await running.stop('SIGINT', 20_000)).toMatchObject({ code: 130, signal: null });
      expect(await traces()).toEqual(before);
      await rm(log);
    },
    LIMIT_MS,
  );
});
