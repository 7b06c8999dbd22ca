// The demo of the Vagrantfile without Vagrant: its VMs are hosts of the lab that boot Debian, and the steps are its own
// scripts.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openLab } from '../lab.ts';
import { formatSeconds, type Screen } from '../screen.ts';
import { bootDemoVms, buildPackages, plugIn, runStep } from './demo-vms.ts';

/** A Debian 13 with systemd. */
export interface DemoDebian {
  readonly title: string;
  /** Its root. */
  readonly folder: string;
}

const HOSTS = 3;

/** Returns whether every container reaches every other one. */
export async function showSystems(
  { debian, backend }: { readonly debian: DemoDebian; readonly backend: string },
  tag: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  screen.line(`\nTwill demo: ${HOSTS} hosts with systemd, backend ${backend}, datastore etcd on n1\n`);
  const lab = await openLab({ hosts: HOSTS, tag });
  signal.throwIfAborted();
  const packages = await buildPackages(join(lab.folder, 'packages'));
  const debs = (await readdir(packages)).filter((name) => name.endsWith('.deb'));
  signal.throwIfAborted();
  screen.step('Packages', debs.sort().join(', '));
  const vms = await bootDemoVms(lab, debian.folder, packages, backend);
  signal.throwIfAborted();
  screen.step('Hosts', `${debian.title} on each`);
  let isGood = true;
  for (const vm of vms) {
    await plugIn(vm);
    screen.step(vm.name, `is up, with the address ${vm.address}`);
    for (const step of vm.steps) {
      const { exitCode, stdout, stderr } = await runStep(vm, step);
      signal.throwIfAborted();
      screen.detail(`${step.name}.sh ${step.args.join(' ')}`);
      for (const line of stdout.split('\n').filter((text) => text !== '')) screen.quote(`  ${line}`);
      const reason = stderr.trim().split('\n').at(-1) ?? '';
      if (exitCode !== 0 && step.name !== 'matrix') throw new Error(`${vm.name}: ${reason}`);
      if (exitCode !== 0 && reason !== '') screen.quote(`  ${reason}`);
      isGood &&= exitCode === 0;
    }
  }
  const verdict = isGood ? 'Every container reaches every other one' : 'Containers do not reach each other';
  screen.line(`\n${verdict}. ${formatSeconds(screen.elapsedMs())} in total.\n`);
  return isGood;
}
