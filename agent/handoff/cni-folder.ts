// What the host has beside our conflist: plugins of CNI that it needs, and files of others in its folder. A container
// runtime takes the first file of that folder by its name, and says nothing about the rest.
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readFileStart } from '../base/read-file.ts';
import * as v from '../base/valibot.ts';
import { parseOwn } from './form.ts';
import { LIMITS } from './limits.ts';

/** Of the packages of Kubernetes, of Debian, and of Fedora. */
export const PLUGIN_FOLDERS: readonly string[] = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];
const ENDINGS = ['.conf', '.conflist', '.json'];

const list = v.object({
  name: v.optional(v.string()),
  plugins: v.optional(v.array(v.object({ type: v.string() }))),
});

/**
 * A line for each thing that keeps pods from our list at `path`, which is the network `network` and needs `plugins`.
 * `folders` are those of plugins.
 */
export async function readFolderWarnings(
  path: string,
  network: string,
  plugins: readonly string[],
  folders: readonly string[] = PLUGIN_FOLDERS,
): Promise<readonly string[]> {
  const found = new Set((await Promise.all(folders.map(readNames))).flat());
  const missing = plugins.filter((plugin) => !found.has(plugin));
  const warnings: string[] = [];
  if (missing.length > 0) {
    warnings.push(
      `no CNI plugin ${missing.join(', ')} in ${folders.join(', ')}: pods cannot start unless the container ` +
        'runtime has it in another folder',
    );
  }
  const [folder, own] = [dirname(path), basename(path)];
  const lists = (await readNames(folder)).filter((name) => ENDINGS.some((ending) => name.endsWith(ending)));
  for (const name of lists.toSorted().slice(0, LIMITS.cniFiles)) {
    const { name: theirs, plugins: chain } = (await readList(join(folder, name))) ?? {};
    const file = join(folder, name);
    if (name === own) {
      const extra = (chain ?? []).map(({ type }) => type).filter((type) => !isKnown(type, plugins));
      // A file of another network is never replaced.
      if (theirs === network && extra.length > 0)
        warnings.push(`${file}: its plugins ${extra.join(', ')} are left out: our list has none of them`);
    } else if (name < own) {
      warnings.push(
        `${file} sorts before ${own}: the container runtime takes it, and pods get our network only if it hands ` +
          'them on; remove it, or give our list an earlier name',
      );
    } else if (theirs === network) {
      warnings.push(`${file} is the network ${network}, too: remove it, one list is enough`);
    }
  }
  return warnings;
}

const isKnown = (type: string, plugins: readonly string[]): boolean =>
  type === 'flannel' || plugins.includes(type);

// A folder that is missing has no names.
async function readNames(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

async function readList(file: string): Promise<v.InferOutput<typeof list> | undefined> {
  const start = await readFileStart(file, { maxBytes: LIMITS.formBytes }).catch(() => undefined);
  return start === undefined || start.isPart ? undefined : parseOwn(list, start.bytes.toString());
}
