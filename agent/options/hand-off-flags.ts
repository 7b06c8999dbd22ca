// Reads the flags for the files that engines are handed.
import { resolve } from 'node:path';
import { TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import type { HandOffOptions } from '../model/hand-off.ts';
import type { FlagValues } from './flag-values.ts';
import { type FlagName, spell } from './flags.ts';

type FileFlag = Extract<FlagName<'string'>, `${string}-file`>;

// Podman skips a network with another name, and CNI reads lists from files with this ending alone.
const FILES = {
  'docker-opts-file': { name: /[^/]$/, rule: 'must be the path of a file' },
  'cni-conf-file': { name: /[^/]\.conflist$/, rule: 'must be the path of a file that ends in .conflist' },
  'podman-network-file': {
    name: /(?:^|\/)[a-zA-Z0-9][\w.-]*\.json$/,
    rule:
      'must be the path of a file named NAME.json, with a NAME of letters, digits, _ . - that begins with a letter ' +
      'or a digit',
  },
} as const satisfies Partial<Record<FileFlag, object>>;

/** Fails as `usage`. */
export function readHandOffOptions(values: FlagValues): HandOffOptions {
  const taken = new Map<string, FlagName>([[resolve(values.text('subnet-file')), 'subnet-file']]);
  const read = (flag: keyof typeof FILES): string | undefined => {
    const path = values.text(flag);
    if (path === '') return undefined;
    const refusal = (rule: string): TwillError =>
      new TwillError('usage', `${values.source(flag)}: ${rule}, is ${excerpt(path)}`);
    const { name, rule } = FILES[flag];
    if (!name.test(path)) throw refusal(rule);
    const other = taken.get(resolve(path));
    if (other !== undefined) throw refusal(`must be another file than ${spell(other)}`);
    taken.set(resolve(path), flag);
    return path;
  };
  const [dockerOpts, cni] = [read('docker-opts-file'), read('cni-conf-file')];
  const forPods = values.bool('kube-subnet-mgr');
  return {
    dockerOpts,
    cniConf: forPods ? undefined : cni,
    cniPods: forPods ? cni : undefined,
    podmanNetwork: read('podman-network-file'),
  };
}
