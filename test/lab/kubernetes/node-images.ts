// The images of whole nodes, as archives that containerd imports: no registry is there.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imageFile } from '../engines/image.ts';
import { run } from '../namespace.ts';

/** Busybox, which sleeps unless it is told otherwise: the image of pods, and of the sandbox of each. */
export const POD_IMAGE = 'docker.io/library/twill-lab:1';

/** Writes an archive of the lab's image into a folder, and gives its path. */
export async function writePodImage(folder: string): Promise<string> {
  const layer = await readFile(imageFile());
  const digest = createHash('sha256').update(layer).digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/bin/sleep'], Cmd: ['1d'], Env: ['PATH=/bin'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    history: [{}],
  };
  const tree = join(folder, 'pod-image');
  await mkdir(tree);
  await writeFile(join(tree, 'layer.tar'), layer);
  await writeFile(join(tree, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [POD_IMAGE], Layers: ['layer.tar'] }];
  await writeFile(join(tree, 'manifest.json'), JSON.stringify(manifest));
  await run(['tar', '-C', tree, '-cf', `${tree}.tar`, 'manifest.json', 'config.json', 'layer.tar']);
  await rm(tree, { recursive: true });
  return `${tree}.tar`;
}
