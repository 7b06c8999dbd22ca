// The files that hand this node's network over: those for engines, where they are wanted, and then subnet.env. Programs
// wait for subnet.env, so that the others are there before it.
import { access } from 'node:fs/promises';
import type { Clock } from '../base/clock.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { HandOff, HandOffOptions, SubnetEnv } from '../model/hand-off.ts';
import { type Form, retractForm, writeForm } from './form.ts';
import { readPreviousSubnet, subnetEnvForm } from './subnet-env.ts';

/** The forms of the files for engines, in the order in which they are written. Loads only those that are wanted. */
export async function engineForms(
  { dockerOpts, cniConf, cniPods, podmanNetwork }: HandOffOptions,
  clock: Pick<Clock, 'wallMs'>,
): Promise<readonly Form[]> {
  const forms: Form[] = [];
  if (dockerOpts !== undefined) forms.push((await import('./docker-opts.ts')).dockerOptsForm(dockerOpts));
  if (cniConf !== undefined) forms.push((await import('./cni-conf.ts')).cniConfForm(cniConf));
  if (cniPods !== undefined) forms.push((await import('./cni-pods.ts')).cniPodsForm(cniPods));
  if (podmanNetwork !== undefined) {
    forms.push((await import('./podman-network.ts')).podmanNetworkForm(podmanNetwork, clock));
  }
  return forms;
}

export interface HandOffFilesOptions {
  readonly subnetFile: string;
  readonly forms: readonly Form[];
  readonly log: Logger;
}

export function handOffFiles({ subnetFile, forms, log }: HandOffFilesOptions): HandOff {
  if (forms.length > 1) {
    const paths = forms.map(({ path }) => path).join(', ');
    log.warn(`each of these files gives the whole subnet to one engine; run one of them: ${paths}`);
  }
  let warnings: readonly string[] = [];
  const warn = async (env: SubnetEnv): Promise<void> => {
    const found: string[] = [];
    for (const { readWarnings } of forms) {
      found.push(...((await readWarnings?.(env).catch((error: unknown) => [messageOf(error)])) ?? []));
    }
    // Once, and again when they are others.
    for (const line of found) if (!warnings.includes(line)) log.warn(line);
    warnings = found;
  };
  return {
    name: subnetFile,
    async previousSubnet() {
      const { subnet, isOverwritten } = await readPreviousSubnet(subnetFile);
      if (isOverwritten) {
        log.warn(`${subnetFile} held flags of Docker: give mk-docker-opts.sh another file with -d`);
      }
      return subnet;
    },
    async write(env) {
      await warn(env);
      for (const form of forms) {
        if (await writeForm(form, env)) log.info(`wrote ${form.path}`);
      }
      return writeForm(subnetEnvForm(subnetFile), env);
    },
    async retract(subnet) {
      for (const form of forms) {
        if (await retractForm(form, subnet))
          log.info(`removed ${form.path}: nothing of ours stands for it yet`);
      }
    },
  };
}

/**
 * Takes back, at the first start of a boot, the files for which engines wait: nothing leads to the peers yet. The
 * subnet file is written last, and its folder is emptied by a boot. Fails as `host`.
 */
export async function retractAfterBoot(handOff: HandOff, subnetFile: string): Promise<void> {
  const isGone = await access(subnetFile).then(
    () => false,
    (error: unknown) => errnoOf(error) === 'ENOENT',
  );
  if (isGone) await handOff.retract(undefined);
}
