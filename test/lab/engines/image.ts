// The image of the lab's containers: busybox, and a web server that answers with the address of whoever asks. So a test
// sees the source of a connection as the container sees it. `docker import` and `podman import` take it.
import { cp, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../namespace.ts';
import { type DebianRoot, engineCacheFolder, fillRoot, rootFailure, rootFolder } from './debian-root.ts';

/** The programs in the containers. The wget of Debian 12's busybox crashes. */
export const BUSYBOX_ROOT: DebianRoot = {
  name: 'busybox',
  suite: 'trixie',
  packages: ['busybox-static'],
  isWhole: false,
};

/** The name of the image in an engine. */
export const IMAGE = 'twill-lab';

/** Runs until it is stopped: answers `GET /cgi-bin/source` on port 80 with the address of the client. */
export const SERVE: readonly string[] = ['httpd', '-f', '-p', '0.0.0.0:80', '-h', '/www'];

const SOURCE = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' "$REMOTE_ADDR"
`;

/** The image as a tar archive, which exists if the cache was filled. */
export function imageFile(): string {
  return `${rootFolder(BUSYBOX_ROOT)}-image.tar`;
}

/** Makes the image, if it is missing. `say` is given a line about the programs in it. */
export async function makeImage(say: (line: string) => void): Promise<void> {
  await fillRoot(BUSYBOX_ROOT, say);
  if ((await rootFailure(BUSYBOX_ROOT)) !== undefined) return;
  if ((await stat(imageFile()).catch(() => undefined)) !== undefined) return;
  const folder = await mkdtemp(join(engineCacheFolder(), '.image-'));
  const busybox = join(rootFolder(BUSYBOX_ROOT), 'usr/bin/busybox');
  try {
    const tree = join(folder, 'tree');
    for (const made of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'www/cgi-bin'])
      await mkdir(join(tree, made), { recursive: true });
    await cp(busybox, join(tree, 'bin/busybox'));
    const names = (await run([busybox, '--list'])).trim().split('\n');
    for (const name of names.filter((applet) => applet !== 'busybox'))
      await symlink('busybox', join(tree, 'bin', name));
    await writeFile(join(tree, 'www/cgi-bin/source'), SOURCE, { mode: 0o755 });
    await run(['tar', '-C', tree, '-cf', join(folder, 'image.tar'), '.']);
    await rename(join(folder, 'image.tar'), imageFile());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
